"""Runs as the screen follows them."""
