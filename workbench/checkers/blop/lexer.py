"""Text into tokens, as Blop does it: at every place the first kind that fits, not the longest.

Blank space is significant in Blop, so every token is kept. A keyword includes the blank after it
("if "), and so a name that merely begins like one ("iffy") stays a name.
"""

import re
from typing import NamedTuple


class Token(NamedTuple):
    """One token; `line` counts from 1."""

    kind: str
    value: str
    line: int


class LexError(Exception):
    """No token fits; `line` counts from 1."""

    def __init__(self, line: int, found: str) -> None:
        super().__init__(f"unexpected character {found!r}")
        self.line = line


KEYWORDS = (
    "as class try catch def new delete if while else for in await async extends elseif"
).split()
_LATER_KEYWORDS = {"throw": "throw ", "import": "import ", "spread": "...", "from": "from "}

_STRING = "|".join(
    rf"{quote}(?:[^\\{quote}]|\\.)*{quote}" for quote in ('"', "'", "`")
)  # may run over lines
_KINDS: tuple[tuple[str, str], ...] = (
    ("number", r"[0-9]+(?:\.[0-9]*)?"),
    ("comment", r"//[^\n]*"),
    ("multiline_comment", r"/\*+[^*]*\*+(?:[^/*][^*]*\*+)*/"),
    *((word, word + " ") for word in KEYWORDS),
    ("return", r"return(?: |(?=\n))"),
    ("break", r"break(?=\n)"),
    ("continue", r"continue(?=\n)"),
    *((kind, re.escape(text)) for kind, text in _LATER_KEYWORDS.items()),
    ("typeof", r"typeof "),
    *(
        (mark, re.escape(mark))
        for mark in (",", ".", "(", ")", "{", "}", "</", "/>", "[", "]", "=>")
    ),
    ("boolean", r"\|\|?|&&|>=|<=|==|!=|instanceof"),
    ("question", r"\?"),
    (">", ">"),
    ("<", "<"),
    ("dashed_name", r"[\w|$]+(?:-\w+)+"),
    ("name", r"[\w|$]+"),
    ("regexp", r"/(?:[^\\\n/]|\\.)*/[igm]*"),
    ("step_assign", r"[-+*/]="),
    ("math", r"[-+/*^~%]"),
    ("not", "!"),
    (":=", ":="),
    ("=", "="),
    (":", ":"),
    ("newline", r"\n"),
    ("string", _STRING),
    ("space", " (?! )"),
    ("spaces", r"\s+"),
)
_GROUPS = {f"k{i}": kind for i, (kind, _) in enumerate(_KINDS)}
_TOKEN = re.compile(
    "|".join(f"(?P<k{i}>{pattern})" for i, (_, pattern) in enumerate(_KINDS)),
    re.DOTALL | re.ASCII,
)


def tokens(source: str) -> list[Token]:
    """Every token of the source and one of kind "end" after them. Raises LexError."""
    out: list[Token] = []
    at, line = 0, 1
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None:
            raise LexError(line, source[at])
        value = found.group()
        out.append(Token(_GROUPS[found.lastgroup or ""], value, line))
        line += value.count("\n")
        at = found.end()
    out.append(Token("end", "", line))
    return out
