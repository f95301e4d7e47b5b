"""Judging answers by programs: what to hand over, how to run it, and the checkers that ship."""
