"""Records of every shape from every container: mapped, told what is unused, with their lines."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tracemalloc
from pathlib import Path

import pytest
import zstandard

from workbench.dataset import formats
from workbench.dataset.reader_options import ReaderOptions
from workbench.dataset.readers.compression import FREE_BYTES
from workbench.dataset.readers.fields import COMMON_KEYS, FIELDS
from workbench.dataset.rows import Message
from workbench.dataset.sources import ReadResult, read_source

CALL = {"type": "function", "function": {"name": "free", "arguments": {"tool": "saw"}}}


def read(path: Path, text: str | bytes, format: str = "auto", **options: object) -> ReadResult:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_source(path, format, options=ReaderOptions(**options))  # type: ignore[arg-type]


def pairs(reading: ReadResult) -> list[tuple[str, str]]:
    return [(row.messages[0].content, row.expected) for row in reading.rows]


def test_sharegpt(tmp_path: Path) -> None:
    turns = [
        {"from": "human", "value": "Is a saw free?"},
        {"from": "function_call", "value": '{"name": "free", "arguments": {"tool": "saw"}}'},
        {"from": "observation", "value": "2"},
        {"from": "gpt", "value": "Two are.", "weight": 0},
    ]
    row = {"conversations": turns, "system": "Be brief.", "tools": '[{"name": "free"}]'}
    reading = read(tmp_path / "a.jsonl", json.dumps(row))
    assert (reading.format, reading.faults) == ("sharegpt", [])
    assert reading.rows[0].messages == (
        Message("system", "Be brief."),
        Message("user", "Is a saw free?"),
        Message("assistant", "", tool_calls=(CALL,)),
        Message("tool", "2"),
        Message("assistant", "Two are.", train=False),
    )
    assert reading.rows[0].tools == ({"type": "function", "function": {"name": "free"}},)


def test_dolly(tmp_path: Path) -> None:
    rows = [
        {"instruction": "When?", "context": "In 1994.", "response": "1994", "category": "qa"},
        {"instruction": "Why?", "context": "", "response": "So.", "category": "open"},
    ]
    reading = read(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert reading.format == "dolly"
    assert pairs(reading) == [("When?\n\nIn 1994.", "1994"), ("Why?", "So.")]
    assert [row.category for row in reading.rows] == ["qa", "open"]


def test_task_and_code(tmp_path: Path) -> None:
    text = "\nTASK: count\nthe tools\nCODE:\n    indented()\n\nx = 1\n\nTASK:\n  b\nCODE: c\n"
    reading = read(tmp_path / "a.txt", text)
    assert reading.format == "task-code" and "'TASK:' and 'CODE:'" in reading.why
    assert pairs(reading) == [("count\nthe tools", "    indented()\n\nx = 1"), ("  b", "c")]
    assert [row.place.line for row in reading.rows] == [2, 9]


def test_a_task_spelt_otherwise_is_text_and_is_told(tmp_path: Path) -> None:
    text = "TASK: a\nCODE:\ncode: 200\nTASK: b\nCODE: c\n"
    reading = read(tmp_path / "a.txt", text)
    assert pairs(reading) == [("a", "code: 200"), ("b", "c")]
    assert [(fault.code, fault.place.line) for fault in reading.faults] == [("near-header", 3)]


def test_csv_fields_in_quotes_hold_lines_commas_and_quotes(tmp_path: Path) -> None:
    text = 'prompt,completion,category\n"a,\nb","say ""c""",x\n\nd,e,y\n'
    reading = read(tmp_path / "a.csv", text)
    assert (reading.format, reading.faults) == ("prompt-completion", [])
    assert "CSV rows with 'prompt' and 'completion'" == reading.why
    assert pairs(reading) == [("a,\nb", 'say "c"'), ("d", "e")]
    assert [(row.place.line, row.category) for row in reading.rows] == [(2, "x"), (5, "y")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str, tmp_path: Path) -> None:
    text = delimiter.join(["Prompt", "Completion"]) + "\n" + delimiter.join(["a", "b"]) + "\n"
    assert pairs(read(tmp_path / "a.csv", text)) == [("a", "b")]
    assert pairs(read(tmp_path / "a.data", text, "csv")) == [("a", "b")]


def test_a_broken_record_does_not_spoil_the_next(tmp_path: Path) -> None:
    text = b'prompt,completion\n"a\n\xff\n",b\nc,d\ne\n\xff,x\nf,g\n'
    reading = read(tmp_path / "a.csv", text)
    assert pairs(reading) == [("c", "d"), ("f", "g")]
    assert [(fault.place.line, fault.code) for fault in reading.faults] == [
        (3, "not-utf8"),
        (6, "fields"),
        (7, "not-utf8"),
    ]


def test_windows_line_ends_and_a_mark_in_a_table(tmp_path: Path) -> None:
    reading = read(tmp_path / "a.csv", '\ufeffprompt,completion\r\n"a\r\nb",c\r\n'.encode())
    assert pairs(reading) == [("a\nb", "c")]
    assert [fault.code for fault in reading.faults] == ["bom", "crlf"]


SPEECHES = 'Redner;Partei;Jahr;Thema;Rede\nAda Meier;Blau;3.5.1998;Wege;"Liebe Leute,\nhört!"\n'


def test_speeches_are_documents_with_their_facts(tmp_path: Path) -> None:
    reading = read(tmp_path / "a.csv", SPEECHES)
    (row,) = reading.rows
    assert (reading.format, reading.faults) == ("documents", [])
    assert row.text == "Liebe Leute,\nhört!\n"
    facts = {"speaker": "Ada Meier", "party": "Blau", "year": "1998", "topic": "Wege"}
    assert dict(row.labels) == facts


def test_structure_tokens_and_a_separator_stand_around_a_speech(tmp_path: Path) -> None:
    options = {"structure_tokens": True, "separator": "<DOC_SEP>"}
    (row,) = read(tmp_path / "a.csv", SPEECHES, **options).rows
    assert row.text == (
        "<SPEAKER>Ada Meier</SPEAKER><PARTY>Blau</PARTY><YEAR>1998</YEAR><TOPIC>Wege</TOPIC>\n"
        "Liebe Leute,\nhört!\n<DOC_SEP>\n"
    )


def test_a_separator_of_ones_own_divides_text(tmp_path: Path) -> None:
    rows = read(tmp_path / "a.txt", "a\n***\nb\n", separator="***").rows
    assert [row.text for row in rows] == ["a\n", "b\n"]


@pytest.mark.parametrize("container", ["jsonl", "json", "csv", "jsonl.gz", "csv.zst"])
def test_fields_are_mapped_in_every_container(container: str, tmp_path: Path) -> None:
    rows = [
        {"q": "a", "gold": "b", "prompt": "no", "level": "7"},
        {"q": "c", "gold": "d", "prompt": "no", "level": "8"},
    ]
    table = io.StringIO()
    writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    lines = "\n".join(map(json.dumps, rows))
    text = {"json": json.dumps(rows), "csv": table.getvalue()}.get(container.split(".")[0], lines)
    data = text.encode()
    data = gzip.compress(data) if container.endswith("gz") else data
    data = zstandard.compress(data) if container.endswith("zst") else data
    fields = {"prompt": "q", "completion": "gold", "difficulty": "level"}
    reading = read(tmp_path / f"a.{container}", data, fields=fields)
    assert reading.format == "prompt-completion"
    assert pairs(reading) == [("a", "b"), ("c", "d")]
    assert [row.difficulty for row in reading.rows] == ["7", "8"]
    told = "unused keys (with row counts): 'prompt' (2)"
    assert [fault.message for fault in reading.faults] == [told]


def test_a_table_may_hold_conversations_as_json(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    table = io.StringIO()
    csv.writer(table).writerows([["messages", "tags"], [json.dumps(turns), "x, y"]])
    reading = read(tmp_path / "a.csv", table.getvalue())
    assert (reading.format, pairs(reading)) == ("chat", [("a", "b")])
    assert reading.rows[0].tags == ("x", "y")


def test_every_field_that_a_shape_reads_can_be_mapped() -> None:
    names = {name for shape in formats.SHAPES for name in shape.KEYS}
    aliases = {*formats.documents.KEYS, *formats.topics.KEYS}
    assert names - aliases <= set(FIELDS) and set(COMMON_KEYS) <= set(FIELDS)
    assert set(formats.documents.FACTS) <= set(FIELDS)


def test_what_is_packed_reads_as_what_it_holds(tmp_path: Path) -> None:
    rows = b"".join(b'{"prompt": "%d", "completion": "x"}\n' % n for n in range(2000))
    plain = read(tmp_path / "a.jsonl", rows).rows
    for name, packed in (("gz", gzip.compress(rows)), ("zst", zstandard.compress(rows))):
        reading = read(tmp_path / f"a.jsonl.{name}", packed)
        assert not reading.faults
        assert [(r.place.line, r.messages) for r in reading.rows] == [
            (r.place.line, r.messages) for r in plain
        ]
    halves = gzip.compress(rows[:34]) + gzip.compress(rows[34:])
    assert len(read(tmp_path / "b.jsonl.gz", halves).rows) == 2000


@pytest.mark.parametrize("name", ["gz", "zst"])
@pytest.mark.parametrize("unit", [b"x", b"{}\n"])
def test_a_bomb_ends_in_little_memory(name: str, unit: bytes, tmp_path: Path) -> None:
    block = unit * ((1 << 20) // len(unit))
    if name == "gz":
        buffer = io.BytesIO()
        with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1) as file:
            for _ in range(1 + FREE_BYTES // len(block)):
                file.write(block)
        packed = buffer.getvalue()
    else:
        packer = zstandard.ZstdCompressor(level=1).compressobj()
        parts = [packer.compress(block) for _ in range(1 + FREE_BYTES // len(block))]
        packed = b"".join([*parts, packer.flush()])
    tracemalloc.start()
    reading = read(tmp_path / f"a.jsonl.{name}", packed, "chat")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reading.fatal and not reading.rows
    assert peak < 150 << 20
    if unit == b"x":
        assert "it expands to over 200 times its size" in str(reading.faults[-1])


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.version_info", (3, 11))
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    (fault,) = read(tmp_path / "a.jsonl.zst", zstandard.compress(b"{}")).faults
    assert str(fault).endswith("zstd needs a library: pip install 'workbench[data]'")
