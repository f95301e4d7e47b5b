"""One module a command. Each has `add_arguments(parser)` and `run(args) -> exit status`.

Heavy imports stand inside the functions that need them.
"""
