"""Rows: read, checked, split, put through a chat template, tokenized and masked. No torch here."""
