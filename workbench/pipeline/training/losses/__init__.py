"""Losses of the training objectives."""
