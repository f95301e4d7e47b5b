"""The plain terminal: run views, progress line, chat."""
