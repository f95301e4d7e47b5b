"""Checks of a data set: findings, fixes, duplicates, summary."""
