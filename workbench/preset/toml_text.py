"""The text of a TOML file: the line of each key, the place of each header; values as TOML text.

tomllib and tomlkit both give the values without their lines. The text must have been read by
`tomllib` before: this scanner trusts it to be TOML, with LF line ends, and only finds where keys
and values begin and end.
Paths are those of the parsed values: `("train", 0, "adapter", "rank")`.

Invariant: `tomllib.loads("v = " + toml_value(v))["v"] == v` for every value a preset can hold.
"""

from __future__ import annotations

import json
import re
import tomllib
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_KEY = re.compile(r"""(?:"(?:\\.|[^"\\\n])*"|'[^'\n]*'|[^"'=\]\n])+""")
_STRING = re.compile(
    r'"""(?:\\[\s\S]|(?!""")[^\\])*"""{1,3}'
    r"|'''(?:(?!''')[\s\S])*'''{1,3}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
)
_SCALAR = re.compile(r"[^,\]}#\n]*")
_LINE = re.compile(r"[^\n]*\n?")


@dataclass
class Layout:
    """Places of one text: lines count from 1, offsets from 0.

    `headers` are in the order of the text: (path, offset of the header, offset below its line).
    """

    lines: dict[Path, int] = field(default_factory=dict)
    headers: list[tuple[Path, int, int]] = field(default_factory=list)

    def line(self, path: Path) -> int | None:
        """The line of `path`, or of the nearest table around it; None if the text has neither."""
        known = (path[:end] for end in range(len(path), 0, -1) if path[:end] in self.lines)
        return next((self.lines[prefix] for prefix in known), None)


def layout(text: str) -> Layout:
    """The places of every key, table and list item of a TOML text."""
    return _Scanner(text).run()


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.line_ends = [match.start() for match in re.finditer("\n", text)]
        self.found = Layout()
        self.newest: dict[Path, int] = {}  # path of a list of tables -> index of its last one

    def run(self) -> Layout:
        table: Path = ()
        self.skip(_BLANK)
        while self.at < len(self.text):
            if self.peek() == "[":
                table = self.header()
            else:
                self.pair(table)
                self.skip(_LINE)
            self.skip(_BLANK)
        return self.found

    def header(self) -> Path:
        """`[a.b]` or `[[a.b]]`: the path of the table that the following keys belong to."""
        is_list = self.text.startswith("[[", self.at)
        start = self.at
        self.at += 1 + is_list
        path = self.resolve(self.key())
        self.at += 1 + is_list
        if is_list:
            self.newest[path] = self.newest.get(path, -1) + 1
            path = (*path, self.newest[path])
        self.mark(path, start)
        self.skip(_LINE)
        line_start = self.text.rfind("\n", 0, start) + 1
        self.found.headers.append((path, line_start, self.at))
        return path

    def pair(self, table: Path) -> None:
        """`key = value` below `table`."""
        start = self.at
        path = (*table, *self.key())
        self.mark(path, start)
        self.at += 1  # the equals sign
        self.skip(_SPACE)
        self.value(path)

    def key(self) -> Path:
        """A possibly dotted, possibly quoted key; tomllib takes it apart."""
        self.skip(_SPACE)
        found: Any = tomllib.loads(f"{self.skip(_KEY)} = 0")
        parts: list[str] = []
        while isinstance(found, dict):
            part = next(iter(found))
            parts.append(part)
            found = found[part]
        return tuple(parts)

    def value(self, path: Path) -> None:
        if self.peek() == "[":
            self.array(path)
        elif self.peek() == "{":
            self.inline_table(path)
        elif not self.skip(_STRING):
            self.skip(_SCALAR)

    def array(self, path: Path) -> None:
        self.at += 1
        self.skip(_BLANK)
        index = 0
        while self.peek() != "]":
            self.mark((*path, index), self.at)
            self.value((*path, index))
            self.separator()
            index += 1
        self.at += 1

    def inline_table(self, path: Path) -> None:
        self.at += 1
        self.skip(_BLANK)
        while self.peek() != "}":
            self.pair(path)
            self.separator()
        self.at += 1

    def separator(self) -> None:
        self.skip(_BLANK)
        if self.peek() == ",":
            self.at += 1
        self.skip(_BLANK)

    def resolve(self, keys: Path) -> Path:
        """The path of a header's keys, lists of tables standing for their last table."""
        path: Path = ()
        for n, key in enumerate(keys):
            path = (*path, key)
            if path in self.newest and n < len(keys) - 1:
                path = (*path, self.newest[path])
        return path

    def mark(self, path: Path, at: int) -> None:
        """Record `path` and the tables it implies, each where it first stands."""
        line = bisect_right(self.line_ends, at - 1) + 1
        for end in range(1, len(path) + 1):
            self.found.lines.setdefault(path[:end], line)

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match.group()


def toml_value(value: Any) -> str:
    """`value` in TOML, on one line. Dates and other values no key takes are shown as they are."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, dict):
        pairs = (f"{_string(key)} = {toml_value(item)}" for key, item in value.items())
        return "{ " + ", ".join(pairs) + " }" if value else "{}"
    return str(value)


def parse_value(text: str) -> Any:
    """The value that TOML text stands for. Raises ValueError when it stands for none."""
    found = tomllib.loads(f"value = {text}")
    if list(found) != ["value"]:
        raise ValueError("more than one value")
    return found["value"]


def _string(text: str) -> str:
    """A basic string; JSON's escapes are TOML's too, except that TOML refuses a bare DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _number(value: float) -> str:
    """The shortest text that reads back as the same float; steps of 1 and more without a point."""
    return repr(value)
