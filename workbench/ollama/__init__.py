"""A model taken to an Ollama server: what its Modelfile says, and the talk with the server."""
