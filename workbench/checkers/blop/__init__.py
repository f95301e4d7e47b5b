"""Checker for programs in Blop: is the text something that the language's compiler accepts?

Standard library only, and nothing from the rest of the workbench, so that a process starts
quickly. It judges; it neither compiles nor runs anything. `check` is the whole interface.
"""

from .check import Fault, check

__all__ = ["Fault", "check"]
