"""Workbench: from a small language model and your own examples to a tuned model you can talk to.

A run is a folder; everything that a person looks at is a reader of that folder.
"""

__version__ = "0.1.0"
