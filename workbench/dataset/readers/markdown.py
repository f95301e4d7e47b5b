"""Markdown examples: a file is one, with front matter for what it is and sections for what it says.

    ---
    title: "Hello World Window"
    type: completion
    generation: ["bbj-gui", "dwc"]
    difficulty: basic
    ---
    ## Code
    ## Expected Behavior
    ## Explanation

The front matter is checked against a JSON Schema. The type says which conversation the sections
make: code that is asked for (completion), explained (comprehension, explanation), or rewritten
(migration: from the first code block to the last). What it is for becomes part of the request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from workbench.core.text import did_you_mean, one_line, size
from workbench.dataset.reader_options import PLAIN, ReaderOptions
from workbench.dataset.readers.fields import label_field, words_field
from workbench.dataset.readers.json_schema import read_schema
from workbench.dataset.readers.lines import Line, read_lines
from workbench.dataset.readers.markdown_parts import (
    BadFrontMatter,
    Code,
    FrontMatter,
    OpenFence,
    Section,
    front_matter,
    sections,
)
from workbench.dataset.readers.strict_json import Refused
from workbench.dataset.rows import ASSISTANT, USER, Fault, Message, Place, Row

FORMAT = "markdown"
SUFFIXES = (".md", ".markdown")
MAX_CHARS = 16 << 20
KEYS = ("title", "type", "generation", "difficulty", "tags", "description", "prompt")
ALL = "all"  # the generation that needs no word
CODE, EXPECTED, EXPLANATION = "code", "expected", "explanation"
_TYPE = re.compile(r"^type:[ \t]*[\"']?(\w+)", re.MULTILINE)
_HEAD = re.compile(r"---[ \t\r]*\n(.*?)(^---[ \t\r]*$|\Z)", re.MULTILINE | re.DOTALL)


def sniff(head: str, path: Path) -> str:
    """Why the file is of this format, `""` when it is not."""
    block = _HEAD.match(head)
    kind = _TYPE.search(block[1]) if block else None
    return f"front matter with type {kind[1]}" if kind and kind[1] in TYPES else ""


def read(path: Path, options: ReaderOptions = PLAIN) -> Iterator[Row | Fault]:
    """The row and the faults of one file."""
    lines: list[Line] = []
    n_chars = 0
    for line in read_lines(path):
        if isinstance(line, Fault):
            yield line
            if line.fatal:
                return
            continue
        lines.append(line)
        n_chars += len(line.text)
        if n_chars > MAX_CHARS:
            what = f"the file is larger than {size(MAX_CHARS)}"
            yield Fault(Place(str(path), line.number), "too-large", what, "a file is one example")
            return
    yield from _example(path, lines, options)


def _example(path: Path, lines: list[Line], options: ReaderOptions) -> Iterator[Row | Fault]:
    try:
        facts = front_matter(lines)
        faults = list(_schema_faults(path, facts, options))
        yield from faults
        if faults:
            return
        found = sections(lines[facts.body :])
        yield _row(path, facts, found)
        yield from _unused(path, facts, found)
    except BadFrontMatter as bad:
        yield bad.refused.at(Place(str(path), bad.line))
    except OpenFence as open_fence:
        what = "the code block is not closed"
        yield Fault(Place(str(path), open_fence.line), "open-code", what, "close it with ```")
    except Refused as refused:
        yield refused.at(Place(str(path), 1))


def _schema_faults(path: Path, facts: FrontMatter, options: ReaderOptions) -> Iterator[Fault]:
    schema = read_schema(options.schema)
    if isinstance(schema, Fault):
        yield schema
        return
    for key, what in schema.faults(facts.values):
        place = Place(str(path), facts.lines.get(key, 1))
        yield Fault(place, "schema", f"{one_line(key, 40)}: {what}" if key else what)


def _row(path: Path, facts: FrontMatter, found: list[Section]) -> Row:
    values = facts.values
    kind = values.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        hint = did_you_mean(kind, TYPES) if isinstance(kind, str) else "use " + ", ".join(TYPES)
        raise Refused("type", f"unknown example type {one_line(repr(kind), 40)}", hint)
    prompt, answer = TYPES[kind](values, found)
    generations = words_field(values, "generation")
    if generations and generations != (ALL,):
        prompt += "\n\nGeneration: " + ", ".join(generations)
    return Row(
        Place(str(path), 1),
        (Message(USER, prompt), Message(ASSISTANT, answer)),
        category=kind,
        difficulty=label_field(values, "difficulty"),
        tags=words_field(values, "tags"),
        labels=tuple(("generation", name) for name in generations),
    )


def _completion(values: Mapping[str, Any], found: list[Section]) -> tuple[str, str]:
    request, expected = _request(values, "description"), _text(found, EXPECTED)
    code = _codes(found, 1)[-1]
    return "\n\n".join(filter(None, (request, expected))), code.fenced()


def _comprehension(values: Mapping[str, Any], found: list[Section]) -> tuple[str, str]:
    code = _codes(found, 1)[0]
    request = _own_prompt(values) or f"Explain this {code.language} code.".replace("  ", " ")
    return f"{request}\n\n{code.fenced()}", _explained(found)


def _migration(values: Mapping[str, Any], found: list[Section]) -> tuple[str, str]:
    codes = _codes(found, 2)
    request = _own_prompt(values) or "Migrate this code."
    answer = (codes[-1].fenced(), _text(found, EXPLANATION))
    return f"{request}\n\n{codes[0].fenced()}", "\n\n".join(filter(None, answer))


def _explanation(values: Mapping[str, Any], found: list[Section]) -> tuple[str, str]:
    title = _request(values, "title")
    request = title if _own_prompt(values) or title.endswith("?") else f"Explain: {title}"
    codes = [code.fenced() for code in _codes(found, 0)[:1]]
    return "\n\n".join([request, *codes]), _explained(found)


TYPES: dict[str, Callable[[Mapping[str, Any], list[Section]], tuple[str, str]]] = {
    "completion": _completion,
    "comprehension": _comprehension,
    "migration": _migration,
    "explanation": _explanation,
}


def _request(values: Mapping[str, Any], key: str) -> str:
    """The request in the example's own words: `prompt`, else `key`, else the title."""
    for name in ("prompt", key, "title"):
        if label := label_field(values, name):
            return label
    raise Refused("missing-key", "no title", "add a title or prompt to the front matter")


def _own_prompt(values: Mapping[str, Any]) -> str:
    return label_field(values, "prompt")


def _explained(found: list[Section]) -> str:
    """What the code does, then how."""
    parts = [_text(found, EXPECTED), _text(found, EXPLANATION)]
    if not any(parts):
        raise Refused("missing-section", "no section 'Explanation'", "add '## Explanation'")
    return "\n\n".join(filter(None, parts))


def _codes(found: list[Section], at_least: int) -> list[Code]:
    """The code blocks of all sections but the explanation."""
    codes = [code for section in found if _kind(section) != EXPLANATION for code in section.codes]
    if len(codes) < at_least:
        what = f"only 1 code block, but {at_least} are needed" if codes else "no code block"
        hint = "add the code before and the code after" if at_least > 1 else "add '## Code'"
        raise Refused("missing-section", what, hint)
    return codes


def _text(found: list[Section], kind: str) -> str:
    return "\n\n".join(section.text for section in found if _kind(section) == kind)


def _kind(section: Section) -> str:
    """What a section is for, by its heading: `Original Code`, `Expected Behavior` ..."""
    words = section.name.casefold().split()
    if words[:1] == [EXPECTED]:
        return EXPECTED
    return words[-1] if words[-1:] in ([CODE], [EXPLANATION]) else ""


def _unused(path: Path, facts: FrontMatter, found: list[Section]) -> Iterator[Fault]:
    keys = [f"'{one_line(key, 40)}'" for key in facts.values if key not in KEYS]
    if keys:
        what = f"unused front matter keys: {', '.join(keys)}"
        yield Fault(Place(str(path), 1), "unused-keys", what, fatal=False)
    for section in found:
        if section.text and not _kind(section):
            name = (
                f"section '{one_line(section.name, 40)}'"
                if section.name
                else "text before the first section"
            )
            what = f"{name} is not used"
            yield Fault(Place(str(path), section.line), "unused-section", what, fatal=False)
