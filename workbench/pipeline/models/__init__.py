"""Base models as training and export load them, and random miniatures in their shape."""
