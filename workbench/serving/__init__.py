"""A model behind the chat interface that OpenAI made common, on this machine alone."""
