"""Rows by their number are the rows that reading from the beginning gives."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from workbench.core.errors import UserError
from workbench.dataset.browse.record_library import RecordLibrary, SourceRequest, record_at
from workbench.dataset.rows import Fault, Row

PAIR = '{"prompt": "ask %s", "completion": "say"}'
CHAT = '{"messages": [{"role": "user", "content": "%s"}, {"role": "assistant", "content": "b"}]}'
BLOCKS = "## Input\nask %s\n# input\n\n## Output\nsay\n# OUTPUT\n\n"
FILES = {
    "blank-lines.jsonl": f"\n{PAIR % 1}\n\n  \n{PAIR % 2}\n\t\n{PAIR % 3}",
    "faulty.jsonl": f'{CHAT % 1}\nnonsense\n[1]\n{{"messages": []}}\n{{}}\n{CHAT % 2}\n{{',
    "marked.jsonl": f"\ufeff{PAIR % 1}\r\n{PAIR % 2}\r\n",
    "blocks.txt": "".join(BLOCKS % n for n in range(1, 40)),
    "stray.txt": f"before\n\n{BLOCKS % 1}{BLOCKS % 2}## Input\nno answer\n",
    "tasks.txt": "".join(f"Task:\nask {n}\nTASK: x\nCode:\nsay\n{n}\n\n" for n in range(9)),
    "later.txt": "TASK:\na\nCODE:\nb\n" + "\n" * 70_000 + "TASK: c\nCODE: d\n",
    "table.csv": 'prompt,completion\na,"b\nc"\nd,e\n',
    "sharegpt.jsonl": '{"conversations": [{"from": "human", "value": "a"}]}\n' * 2,
    "documents.txt": "\n\none\n<|endoftext|>\n\n two\n\n  <|endoftext|>\nthree\n<|endoftext|>\n\n",
    "one.blop": "def f() {\n}\n",
    "array.json": f"[{PAIR % 1},\n {PAIR % 2}]",
    "late.txt": "# INPUT\n" + "long\n" * 20_000 + "# OUTPUT\nx\n# INPUT\na\n# OUTPUT\nb\n",
}


def entries(source: SourceRequest) -> list[Row | Fault]:
    """What reading gives: the rows and what is in the place of one."""
    found = source.entries()
    return [entry for entry in found if isinstance(entry, Row) or entry.fatal]


def library_of(path: Path, folder: Path) -> RecordLibrary:
    library = RecordLibrary(SourceRequest(str(path)).plan(), folder)
    while library.extend():
        pass
    return library


def number_at(library: RecordLibrary, path: Path, line: int) -> int | None:
    key = library.key(str(path), line)
    return None if key is None else library.number_of(key)


@pytest.mark.parametrize("name", FILES)
def test_every_record_is_what_the_reader_reads(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(FILES[name], newline="")
    source, wanted = SourceRequest(str(path)), entries(SourceRequest(str(path)))
    library = library_of(path, tmp_path)
    if library.spooled:
        assert name in ("array.json", "late.txt", "table.csv")
    else:
        found = [library.entry(number) for number in range(len(library))]
        assert found == wanted
        for number in range(len(library)):
            near = library.entries(number, 3)
            assert near == wanted[number : number + 3][: len(near)] and near
        for number, entry in enumerate(wanted):
            assert number_at(library, path, entry.place.line) == number
    library.close()
    for number, entry in enumerate(wanted, 1):
        if isinstance(entry, Row):
            assert record_at(source, number) == entry
        else:
            with pytest.raises(UserError, match=str(entry.place.line)):
                record_at(source, number)
    with pytest.raises(UserError, match=f"the data has {len(wanted)} rows?$"):
        record_at(source, len(wanted) + 1)


def test_files_of_a_folder_follow_one_another(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    for number in range(100):
        (folder / f"{number:03}.jsonl").write_text("".join(PAIR % n + "\n" for n in range(3)))
    library = library_of(folder, tmp_path)
    assert [library.entry(n) for n in range(len(library))] == entries(SourceRequest(str(folder)))
    assert len(library) == 300 and number_at(library, folder / "033.jsonl", 2) == 100
    (folder / "050.jsonl").unlink()
    assert library.news() == "other"
    gone = library.entry(150)
    assert isinstance(gone, Fault) and gone.code == "changed"
    library.close()


def test_a_file_grows_shrinks_or_becomes_another(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(PAIR % n + "\n" for n in range(3)))
    library = library_of(path, tmp_path)
    assert library.news() == ""
    with open(path, "a") as file:
        file.write(PAIR % 3 + "\n" + PAIR % 4)
    assert library.news() == "grown"
    while library.extend():
        pass
    assert len(library) == 5 and library.news() == ""
    os.truncate(path, 60)
    gone = library.entry(4)
    assert library.news() == "other" and isinstance(gone, Fault) and gone.code == "changed"
    library.close()

    path.write_text("".join(PAIR % n + "\n" for n in range(3)))
    library = library_of(path, tmp_path)
    path.write_text("".join(PAIR % (n + 7) + "\n" for n in range(9)))
    assert library.news() == "other"  # longer, but not what it was with more behind it
    library.close()

    library = library_of(path, tmp_path)
    new = tmp_path / "new"
    new.write_text(PAIR % 1)
    os.replace(new, path)
    entry = library.entry(2)
    assert library.news() == "other" and isinstance(entry, Row)  # the open file is still whole
    library.close()


def test_only_the_beginning_of_a_huge_document_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.txt"
    path.write_text("ü" * 2_000_000)
    library = library_of(path, tmp_path)
    row = library.entry(0)
    assert isinstance(row, Row) and set(row.text) == {"ü", "\n"}
    assert library.left_out(0) == 4_000_000 - (1 << 20)
    library.close()


def test_what_cannot_be_opened_has_no_rows(tmp_path: Path) -> None:
    library = library_of(tmp_path / "absent", tmp_path)
    assert len(library) == 0 and library.at_end
    library.close()
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(UserError, match="is a pipe"):
        record_at(SourceRequest(str(tmp_path / "pipe.jsonl"), "chat"), 1)
