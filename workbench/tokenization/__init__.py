"""Rows as training will see them: rendered, cut into tokens, each marked as trained or not."""
