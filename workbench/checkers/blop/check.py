"""The verdict on one program: nothing, or the first fault with its line."""

import sys
from typing import NamedTuple

from .lexer import LexError, Token, tokens
from .parser import ParseError, parse
from .scope import ScopeError, Walk

_DEPTH = 20_000  # calls; nested tags and brackets need about ten a level


class Fault(NamedTuple):
    """Why the compiler would refuse the program; `line` counts from 1."""

    line: int
    message: str


def check(source: str) -> Fault | None:
    """The first fault of a Blop program, or None if the compiler accepts it."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _DEPTH))
    try:
        Walk().visit(parse(tokens(source)))
    except (LexError, ScopeError) as fault:
        return Fault(fault.line, str(fault))
    except ParseError as fault:
        return Fault(fault.token.line, f"unexpected {_shown(fault.token)}")
    except RecursionError:
        return Fault(1, "nested too deeply")
    finally:
        sys.setrecursionlimit(limit)
    return None


def _shown(token: Token) -> str:
    if token.kind in ("newline", "end"):
        return "end of line" if token.kind == "newline" else "end of file"
    if token.kind in ("space", "spaces"):
        return "a space"
    return repr(token.value)
