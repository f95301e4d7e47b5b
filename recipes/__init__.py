"""Recipes that made the files the workbench brings along: the embedded base and the Blop data."""
