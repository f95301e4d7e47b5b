"""Check one file: `python -m workbench.checkers.blop FILE`.

Exit status 0: accepted. 1: refused, with one line `FILE:LINE: message` on standard error.
2: the file cannot be read, or the command line is wrong.
"""

import sys
from pathlib import Path

from .check import check


def main(arguments: list[str]) -> int:
    """Judge the file and say why it is refused; the result is the exit status."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m workbench.checkers.blop FILE", file=sys.stderr)
        return 2
    path = arguments[0]
    try:
        source = Path(path).read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        print(f"{path}: {error.strerror}", file=sys.stderr)
        return 2
    fault = check(source)
    if fault is None:
        return 0
    print(f"{path}:{fault.line}: {fault.message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
