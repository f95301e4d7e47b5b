"""What a small writer writes in a format, its reader reads back, whatever the texts are."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import zstandard
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from workbench.dataset.reader_options import ReaderOptions
from workbench.dataset.readers.text_pairs import INPUT_OUTPUT, TASK_CODE, PairStyle
from workbench.dataset.rows import Row
from workbench.dataset.sources import read_source

Pairs = Sequence[tuple[str, str]]
# Any text but NUL and what ends a line in files: readers hold line ends to be line feeds.
CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0\r\ufeff")
TEXT = st.text(CHARACTERS, min_size=1, max_size=40).filter(str.strip)
PAIRS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4)


def jsonl(rows: Sequence[object]) -> str:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


def chat(pairs: Pairs) -> str:
    roles = ("user", "assistant")
    turns = [[{"role": r, "content": t} for r, t in zip(roles, p, strict=True)] for p in pairs]
    return jsonl([{"messages": messages} for messages in turns])


def sharegpt(pairs: Pairs) -> str:
    names = ("human", "gpt")
    turns = [[{"from": n, "value": t} for n, t in zip(names, p, strict=True)] for p in pairs]
    return json.dumps([{"conversations": messages} for messages in turns], indent=2)


def records(prompt: str, answer: str) -> Callable[[Pairs], str]:
    return lambda pairs: jsonl([{prompt: p, answer: a} for p, a in pairs])


def table(delimiter: str) -> Callable[[Pairs], str]:
    def write(pairs: Pairs) -> str:
        file = io.StringIO()
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerows([("prompt", "completion"), *pairs])
        return file.getvalue()

    return write


WRITERS: dict[str, Callable[[Pairs], str]] = {
    "chat": chat,
    "sharegpt": sharegpt,
    "alpaca": records("instruction", "output"),
    "dolly": records("instruction", "response"),
    "prompt-completion": records("prompt", "completion"),
    "topics": records("q", "a"),
    "csv": table(","),
    "tsv": table("\t"),
}


def said(rows: Sequence[Row]) -> list[tuple[str, str]]:
    return [(row.messages[0].content, row.expected) for row in rows]


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=40, deadline=None)
@given(pairs=PAIRS, packing=st.sampled_from(["", ".gz", ".zst"]))
def test_records(
    name: str, pairs: Pairs, packing: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    suffix = name if name in ("csv", "tsv") else "jsonl"
    path = tmp_path_factory.getbasetemp() / f"written-{name}.{suffix}{packing}"
    data = WRITERS[name](pairs).encode()
    data = gzip.compress(data) if packing == ".gz" else data
    path.write_bytes(zstandard.compress(data) if packing == ".zst" else data)
    reading = read_source(path)
    assert not reading.faults
    assert reading.format == {"csv": "prompt-completion", "tsv": "prompt-completion"}.get(
        name, name
    )
    assert said(reading.rows) == list(pairs)


def in_blocks(text: str, style: PairStyle) -> bool:
    """Whether a text may stand in a block: no empty lines around it, no header in it."""
    lines = text.split("\n")
    whole = bool(lines[0].strip() and lines[-1].strip()) and text == text.rstrip()
    return whole and not any(style.found(line) for line in lines)


@pytest.mark.parametrize("style", [INPUT_OUTPUT, TASK_CODE])
@settings(max_examples=60, deadline=None)
@given(pairs=PAIRS, gap=st.integers(0, 2))
def test_blocks(
    style: PairStyle, pairs: Pairs, gap: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assume(all(in_blocks(text, style) for pair in pairs for text in pair))
    names, empty = (style.ask, style.answer), "\n" * gap
    written = "".join(
        f"{style.header(name)}\n{empty}{text}\n{empty}"
        for pair in pairs
        for name, text in zip(names, pair, strict=True)
    )
    path = tmp_path_factory.getbasetemp() / "written.txt"
    path.write_bytes(written.encode())
    reading = read_source(path)
    assert (reading.format, reading.faults) == (style.FORMAT, [])
    assert said(reading.rows) == list(pairs)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(TEXT, min_size=1, max_size=4), separator=st.sampled_from(["", "***"]))
def test_documents(
    texts: Sequence[str], separator: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    line = separator or "<|endoftext|>"
    assume(not any(line in text for text in texts))
    folder = tmp_path_factory.getbasetemp()
    (folder / "written.md").write_bytes(f"\n{line}\n".join(texts).encode())
    (folder / "written-texts.jsonl").write_bytes(jsonl([{"text": text} for text in texts]).encode())
    rows = read_source(
        folder / "written.md", "text", options=ReaderOptions(separator=separator)
    ).rows
    assert [row.text.split() for row in rows] == [text.split() for text in texts]
    rows = read_source(folder / "written-texts.jsonl").rows
    assert [row.text for row in rows] == [text.strip("\n") + "\n" for text in texts]


@settings(max_examples=60, deadline=None)
@given(
    facts=st.fixed_dictionaries({"title": TEXT, "description": TEXT}),
    tags=st.lists(TEXT, max_size=3),
    code=st.text(CHARACTERS, min_size=1, max_size=60).filter(lambda text: text.strip("\n")),
)
def test_markdown(
    facts: dict[str, str],
    tags: list[str],
    code: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    values = {**facts, "type": "completion", "tags": tags}  # JSON is YAML
    head = "\n".join(f"{key}: {json.dumps(value)}" for key, value in values.items())
    body = code.strip("\n").replace("```", "'''").replace("~~~", "---")
    path: Path = tmp_path_factory.getbasetemp() / "written.md"
    path.write_bytes(f"---\n{head}\n---\n## Code\n```x\n{body}\n```\n".encode())
    reading = read_source(path)
    assert not reading.faults, reading.faults
    (row,) = reading.rows
    assert row.expected == f"```x\n{body}\n```"
    assert row.messages[0].content == " ".join(facts["description"].split())
    assert row.tags == tuple(tags)
