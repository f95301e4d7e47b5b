"""The parts of a Markdown file: its YAML front matter, and `## ` sections with their code blocks.

Front matter is the YAML between two `---` lines at the beginning, read as strictly as JSON. YAML
guesses types and accepts duplicate keys; here `no`, `2024-01-31` and `010` are strings, and a
duplicate key is a fault. So is an alias, as a few lines of them can expand to gigabytes.

A heading inside a code block is code. No other Markdown syntax matters here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from workbench.core.text import one_line
from workbench.dataset.readers.lines import Line
from workbench.dataset.readers.strict_json import Refused, parse_json

FENCE = "---"
MAX_CHARS = 64 << 10
MAX_DEPTH = 100
_YAML = "tag:yaml.org,2002:"
_PLAIN = (  # YAML 1.2's core schema: what a plain word may be besides a string
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"-?(0|[1-9][0-9]*)", list("-0123456789")),
    (
        "float",
        r"-?(0|[1-9][0-9]*)(\.[0-9]+([eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)",
        list("-0123456789"),
    ),
)


@dataclass(frozen=True)
class FrontMatter:
    """The values, the line of each, and where the text below begins."""

    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    body: int = 0  # index of the first line below


class BadFrontMatter(Exception):
    """Front matter that cannot be read: the line, and what is wrong with it."""

    def __init__(self, line: int, refused: Refused) -> None:
        super().__init__(refused.message)
        self.line, self.refused = line, refused


def front_matter(lines: list[Line]) -> FrontMatter:
    """The front matter of a file. Raises BadFrontMatter, also where there is none."""
    if not lines or lines[0].text.rstrip() != FENCE:
        raise BadFrontMatter(
            1, Refused("no-front-matter", "no front matter", f"start with {FENCE}")
        )
    end = next((n for n, line in enumerate(lines) if n and line.text.rstrip() == FENCE), None)
    if end is None:
        raise BadFrontMatter(
            1, Refused("no-front-matter", "the front matter is not closed", f"end it with {FENCE}")
        )
    text = "\n".join(line.text for line in lines[1:end])
    values, places = _parsed(text)
    found = {key: number + lines[0].number + 1 for key, number in places.items()}
    return FrontMatter(values, found, end + 1)


def _parsed(text: str) -> tuple[dict[str, Any], dict[str, int]]:
    import yaml

    if len(text) > MAX_CHARS:
        raise BadFrontMatter(1, Refused("too-large", "the front matter is too long", "shorten it"))
    loader = None
    try:
        loader = _loader_class()(text)
        node = loader.get_single_node()
        value = {} if node is None else loader.construct_document(node)
        value = parse_json(json.dumps(value))  # dates, NULs, surrogates and depth
    except yaml.MarkedYAMLError as error:
        mark = error.context_mark or error.problem_mark
        what = one_line(", ".join(filter(None, (error.context, error.problem))), 120)
        raise _bad(mark.line if mark else 0, "broken-yaml", f"invalid YAML: {what}") from None
    except yaml.YAMLError as error:
        what = f"invalid YAML: {one_line(str(error), 120)}"
        raise _bad(0, "broken-yaml", what) from None
    except Refused as refused:
        raise BadFrontMatter(2, refused) from None
    except RecursionError:
        raise _bad(0, "too-deep", "nested too deeply") from None
    except (ValueError, TypeError, OverflowError):
        raise _bad(0, "broken-yaml", "a value that JSON cannot represent") from None
    finally:
        if loader is not None:
            loader.dispose()
    if not isinstance(value, dict):
        raise _bad(0, "wrong-type", "the front matter is not a list of 'key: value' lines")
    return value, {key.value: key.start_mark.line for key, _ in node.value} if node else {}


def _bad(line: int, code: str, message: str) -> BadFrontMatter:
    return BadFrontMatter(line + 2, Refused(code, message))


@cache
def _loader_class() -> Any:
    """A safe loader without YAML's surprises; made on the first call, as is the import."""
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        yaml_implicit_resolvers: dict[str, Any] = {}
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                mark = self.peek_event().start_mark
                raise yaml.constructor.ConstructorError(
                    problem="aliases are not allowed", problem_mark=mark
                )
            if self.depth == MAX_DEPTH:  # each level makes the scanner slower
                raise RecursionError
            self.depth += 1
            try:
                return super().compose_node(parent, index)
            finally:
                self.depth -= 1

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value:
                said = f"{key.value}"
                if key.tag != f"{_YAML}str" or said in seen:
                    problem = f"key '{said}' " + (
                        "appears twice" if said in seen else "is not text"
                    )
                    raise yaml.constructor.ConstructorError(
                        problem=problem, problem_mark=key.start_mark
                    )
                seen.add(said)
            return super().construct_mapping(node, deep)

    for name, pattern, first in _PLAIN:
        Loader.add_implicit_resolver(f"{_YAML}{name}", re.compile(f"(?:{pattern})$"), first)
    return Loader


_HEADING = re.compile(r"##[ \t]+(.*?)[ \t]*#*[ \t]*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*([^`]*)")


@dataclass(frozen=True)
class Code:
    """A fenced code block: the word behind its fence, and the lines between."""

    language: str
    text: str

    def fenced(self) -> str:
        """The block as Markdown, in a fence that the code does not hold."""
        longest = max((len(run) for run in re.findall(r"`{3,}", self.text)), default=2)
        fence = "`" * max(3, longest + 1)
        return f"{fence}{self.language}\n{self.text}\n{fence}"


@dataclass(frozen=True)
class Section:
    """What stands under a heading; the name is `""` for what stands before the first."""

    name: str
    line: int
    text: str
    codes: tuple[Code, ...]


class OpenFence(Exception):
    """A code block that does not end; it begins on `line`."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def sections(lines: list[Line]) -> list[Section]:
    """The sections in order, those without text too. Raises OpenFence."""
    found: list[Section] = []
    name, start = "", lines[0].number if lines else 1
    inside: list[str] = []
    codes: list[Code] = []
    fence: tuple[str, str, int, int] | None = None  # its marks, language, line, index in `inside`
    for line in lines:
        marks = _FENCE.fullmatch(line.text)
        if fence and marks and marks[1].startswith(fence[0]) and not marks[2].strip():
            codes.append(Code(fence[1], "\n".join(inside[fence[3] :]).strip("\n")))
            fence = None
        elif not fence and marks:
            fence = (marks[1], marks[2].strip(), line.number, len(inside) + 1)
        elif not fence and (heading := _HEADING.fullmatch(line.text)):
            found.append(_section(name, start, inside, codes))
            name, start, inside, codes = heading[1], line.number, [], []
            continue
        inside.append(line.text)
    if fence:
        raise OpenFence(fence[2])
    return [*found, _section(name, start, inside, codes)]


def _section(name: str, line: int, inside: list[str], codes: list[Code]) -> Section:
    return Section(name, line, "\n".join(inside).strip(), tuple(codes))
