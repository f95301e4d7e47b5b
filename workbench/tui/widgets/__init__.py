"""Widgets that several panes use, one a file."""
