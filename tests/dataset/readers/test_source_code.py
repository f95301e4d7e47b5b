"""Folders of code: what is read, what is left out, and that each kind of it is counted."""

from __future__ import annotations

from pathlib import Path

from workbench.dataset.reader_options import ReaderOptions
from workbench.dataset.sources import ReadResult, read_source, require

LICENCE = "/* Copyright somebody\n * SPDX-License-Identifier: MIT OR Apache-2.0 */\n"


def write(folder: Path, **files: str | bytes) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def notes(reading: ReadResult) -> list[str]:
    assert not reading.fatal
    return [f"{fault.message} ({fault.hint})" for fault in reading.faults]


def test_a_file_is_a_document_with_its_header(tmp_path: Path) -> None:
    code = LICENCE + "\nint main(void) {\n\treturn 0;\n}\n"
    reading = read_source(write(tmp_path, a_c=code, src__b_py="x = 1\n", src__c_py="y = 2\n"))
    assert (reading.format, reading.why) == ("code", "most of its files are source code")
    assert [row.text for row in reading.rows] == [code, "x = 1\n", "y = 2\n"]
    assert [row.category for row in reading.rows] == ["c", "python", "python"]
    assert reading.rows[0].labels == (("licence", "MIT OR Apache-2.0"),)
    assert reading.rows[0].place.line == 1 and notes(reading) == []


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        a_py="x = 1\n",
        b_py="y = 1\n",
        empty_py="",
        binary_py=b"x\0y",
        huge_py="x = 1\n" * 200_000,
        app_min_js="x()",
        logo_png=b"\x89PNG",
        README_md="# x\n",
        dist__x_js="x()",
        src__vendor__y_js="x()",
        _git__z_py="x",
    )
    reading = read_source(folder, "code")
    assert len(reading.rows) == 2
    assert sorted(notes(reading)) == [
        "1 file skipped: binary (such as binary.py)",
        "1 file skipped: empty (such as empty.py)",
        "1 file skipped: larger than 1.0 MiB (such as huge.py)",
        "1 file skipped: minified (such as app.min.js)",
        "1 folder skipped: hidden (such as .git)",
        "2 files skipped: no supported language (such as README.md)",
        "2 folders skipped: generated or vendored code (such as dist)",
    ]


def test_a_file_in_another_encoding_is_left_out_and_told(tmp_path: Path) -> None:
    folder = write(tmp_path, a_py="x = 1\n", b_py="# é\n".encode("latin-1"))
    reading = require(read_source(folder))
    assert len(reading.rows) == 1
    assert [(fault.code, fault.place.line, fault.fatal) for fault in reading.faults] == [
        ("skipped", 1, False)
    ]


def test_the_source_names_the_suffixes(tmp_path: Path) -> None:
    folder = write(tmp_path, a_py="x = 1\n", b_arc="rem x\n", c_txt="x\n")
    reading = read_source(folder, "code", options=ReaderOptions(suffixes=(".arc",)))
    assert [(row.text, row.category) for row in reading.rows] == [("rem x\n", "arc")]


def test_a_folder_with_data_is_read_file_by_file(tmp_path: Path) -> None:
    row = '{"prompt": "a", "completion": "b"}\n'
    reading = read_source(write(tmp_path, a_py="x = 1\n", b_py="x = 1\n", c_jsonl=row))
    assert reading.why == "2 text, 1 prompt-completion"


def test_a_document_ends_at_the_separator(tmp_path: Path) -> None:
    reading = read_source(write(tmp_path, a_py="x = 1\n<|endoftext|>\ny = 1\n"))
    assert [row.text for row in reading.rows] == ["x = 1\n", "y = 1\n"]
