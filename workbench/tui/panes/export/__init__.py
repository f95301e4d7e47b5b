"""The Export pane."""
