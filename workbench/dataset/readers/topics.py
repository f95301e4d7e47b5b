"""Questions with reasoning, in a tree of topics or as records of their own.

    structure.enriched.json      {"logic": {"order": {"content_type": "reasoning", "tags": ["x"]}}}
    topics/logic/order/logic.order.reasoning.json       a list of records:
    {"question": "Who is oldest?", "think": "By age: ...", "output": "Ana.", "difficulty": 2}

Short names will do: `q`, `t`, `o`, `d`, and the others below. Difficulty is 1 to 6 or a word. In a
tree `${NAME}` stands for what the source says it is, and one that nobody fills is a fault;
`$${NAME}` is the text `${NAME}` itself. Outside a tree a source that fills some does so too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from workbench.core.text import did_you_mean, one_line
from workbench.dataset.reader_options import PLAIN, ReaderOptions
from workbench.dataset.readers.fields import exchange, label_field, named, text_field, words_field
from workbench.dataset.readers.records import read_rows, records
from workbench.dataset.readers.strict_json import JsonRow, Refused, a_type
from workbench.dataset.readers.topic_tree import Topic, topic_of
from workbench.dataset.rows import Fault, Place, Row

FORMAT = "topics"
QUESTION = ("question", "q")
THINK = ("think", "t", "rationale", "reasoning")
OUTPUT = ("output", "o", "answer", "a")
DIFFICULTY = ("difficulty", "d")
LABELS = ("subcategory", "content_type", "topic")
KEYS = (*QUESTION, *THINK, *OUTPUT, *LABELS, "d", "id", "source_version", "system")
HARDEST = 6
WORDS = {
    "easy": 1,
    "basic": 1,
    "beginner": 1,
    "medium": 3,
    "intermediate": 3,
    "hard": 5,
    "advanced": 5,
    "expert": HARDEST,
}
_PLACEHOLDER = re.compile(r"\$(\$)?\{([A-Z_][A-Z0-9_]*)\}")


def fits(keys: Collection[str]) -> str:
    """Which keys make a record one of this format, `""` when it is none."""
    question, output = _among(keys, QUESTION), _among(keys, OUTPUT)
    return named([question[0], output[0]]) if question and output else ""


def read(path: Path, options: ReaderOptions = PLAIN) -> Iterator[Row | Fault]:
    """The rows and faults of one file, of a tree or alone."""
    topic = topic_of(path)
    if topic is None:
        yield from read_rows(records(path, options), _Shape(bool(options.placeholders)), options)
        return
    empty = True
    for entry in read_rows(_in_tree(records(path, options), topic), _Shape(True), options):
        empty = empty and isinstance(entry, Fault) and not entry.fatal
        yield entry
    if empty:
        yield Fault(Place(str(path), 1), "empty", "no examples here yet", fatal=False)


class _Shape:
    """How a record becomes a row, with placeholders filled or left alone."""

    FORMAT, KEYS = FORMAT, KEYS

    def __init__(self, fills: bool) -> None:
        self._fills = fills

    def fits(self, keys: Collection[str]) -> str:
        return fits(keys)

    def row(self, place: Place, value: dict[str, Any], options: ReaderOptions) -> Row:
        question, output = _text(value, QUESTION), _text(value, OUTPUT)
        think = _text(value, THINK, optional=True)
        if self._fills:
            question, output, think = (
                _filled(text, options.placeholders) for text in (question, output, think)
            )
        facts = {**value, "difficulty": _difficulty(value)}
        found = exchange(place, facts, (question,), output, think)
        return found.labelled((name, label_field(value, name)) for name in LABELS)


def row(place: Place, value: dict[str, Any], options: ReaderOptions) -> Row:
    """The row of one record that stands in no tree. Raises Refused."""
    return _Shape(bool(options.placeholders)).row(place, value, options)


def _in_tree(entries: Iterator[JsonRow | Fault], topic: Topic) -> Iterator[JsonRow | Fault]:
    """The records with what their place in the tree says of them."""
    for entry in entries:
        if isinstance(entry, Fault):
            yield entry
            continue
        place, value = entry
        try:
            tags = dict.fromkeys((*words_field(value, "tags"), *topic.tags))
        except Refused as refused:
            yield refused.at(place)
            continue
        yield place, {**value, **topic.facts(), "tags": list(tags)}


def _text(value: Mapping[str, Any], names: tuple[str, ...], *, optional: bool = False) -> str:
    return text_field(value, _one_of(value, names), optional=optional)


def _one_of(value: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The one of the names that the record has; the first where it has none."""
    found = [name for name in _among(value, names) if value[name] is not None]
    if len(found) > 1:
        raise Refused("two-texts", f"the row has both {named(found)}", "keep one")
    return found[0] if found else names[0]


def _among(keys: Collection[str], names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name in keys]


def _difficulty(value: Mapping[str, Any]) -> str | None:
    """1 to 6 as text, also for a word or a number in quotes; None where the row says nothing."""
    found = value.get(_one_of(value, DIFFICULTY))
    if found is None or found == "":
        return None
    if isinstance(found, str):
        word = found.strip().casefold()
        found = int(word) if word in map(str, range(1, HARDEST + 1)) else WORDS.get(word, found)
        if isinstance(found, str):
            hint = f"use 1 to {HARDEST}, or {did_you_mean(word, WORDS).removeprefix('use ')}"
            raise Refused("difficulty", f"unknown difficulty '{one_line(found, 40)}'", hint)
    if isinstance(found, bool) or not isinstance(found, int):
        raise Refused("difficulty", f"'difficulty' is {a_type(found)}, not 1 to {HARDEST}")
    if not 1 <= found <= HARDEST:
        raise Refused("difficulty", f"the difficulty {found} is not 1 to {HARDEST}")
    return str(found)


def _filled(text: str, values: Mapping[str, str]) -> str:
    def fill(match: re.Match[str]) -> str:
        if match[1]:
            return match[0][1:]
        if match[2] not in values:
            hint = f'define it: [data.source.placeholders] {match[2]} = "..."'
            raise Refused("placeholder", f"{match[0]} is not defined", hint)
        return values[match[2]]

    return _PLACEHOLDER.sub(fill, text) if "${" in text else text
