"""A GGUF made into one of another type by llama.cpp, in a child process. Nothing heavy."""
