"""Questions with reasoning: the tree, its gaps, short names, difficulties, placeholders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from workbench.cli import main
from workbench.dataset.reader_options import ReaderOptions
from workbench.dataset.rows import Message
from workbench.dataset.sources import ReadResult, read_source

ROW = {"question": "Who?", "think": "Hm.", "output": "Ana.", "difficulty": 2}
STRUCTURE: dict[str, Any] = {
    "logic": {"order": {"content_type": ["reasoning", "qa"], "tags": ["a", "b"]}},
    "self": {"name": {"content_type": "reasoning"}},
}
ORDER = "topics/logic/order/logic.order.reasoning.json"


def tree(folder: Path, structure: Any = STRUCTURE, **files: Any) -> Path:
    """A tree with the structure, and files named by their last part: `order.reasoning`."""
    folder.mkdir(exist_ok=True)
    (folder / "structure.enriched.json").write_text(json.dumps(structure, indent=1))
    for name, rows in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows, indent=1))
    return folder


def read(folder: Path, *rows: dict[str, Any], **placeholders: str) -> ReadResult:
    tree(folder, topics__logic__order__logic_order_reasoning_json=list(rows))
    return read_source(folder, options=ReaderOptions(placeholders=placeholders))


def test_a_tree_gives_rows_their_place(tmp_path: Path) -> None:
    reading = read(tmp_path / "t", {**ROW, "tags": ["c", "a"], "topic": "ages"})
    (row,) = reading.rows
    assert (reading.format, reading.why) == (
        "topics",
        "a topic tree with structure.enriched.json",
    )
    assert row.messages == (Message("user", "Who?"), Message("assistant", "Ana.", reasoning="Hm."))
    assert (row.category, row.difficulty, row.tags) == ("logic", "2", ("c", "a", "b"))
    facts = {"subcategory": "order", "content_type": "reasoning", "topic": "ages"}
    assert dict(row.labels) == facts
    assert (row.place.path, row.place.line) == (str(tmp_path / "t" / ORDER), 2)


def test_a_tree_is_read_by_its_structure_too_and_a_file_of_it_alone(tmp_path: Path) -> None:
    rows = read(tmp_path / "t", ROW).rows
    assert read_source(tmp_path / "t" / "structure.enriched.json").rows == rows
    assert read_source(tmp_path / "t" / ORDER).rows == rows


@pytest.mark.parametrize(
    "row",
    [
        {"q": "Who?", "t": "Hm.", "o": "Ana.", "d": 2},
        {"question": "Who?", "rationale": "Hm.", "answer": "Ana.", "difficulty": "2"},
        {"q": "Who?", "reasoning": "Hm.", "a": "Ana.", "difficulty": 2, "id": 7},
    ],
)
def test_short_and_other_names(row: dict[str, Any], tmp_path: Path) -> None:
    reading = read(tmp_path / "t", row)
    assert [fault.code for fault in reading.faults] == ["missing-topic"] * 2
    (found,) = reading.rows
    assert found.messages == (
        Message("user", "Who?"),
        Message("assistant", "Ana.", reasoning="Hm."),
    )
    assert found.difficulty == "2"


@pytest.mark.parametrize(
    ("said", "difficulty"),
    [(1, "1"), ("6", "6"), ("easy", "1"), (" Medium", "3"), ("hard", "5"), ("", ""), (None, "")],
)
def test_difficulties(said: object, difficulty: str, tmp_path: Path) -> None:
    assert read(tmp_path / "t", {**ROW, "difficulty": said}).rows[0].difficulty == difficulty


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({**ROW, "difficulty": 0}, "the difficulty 0 is not 1 to 6"),
        ({**ROW, "difficulty": "hrad"}, "unknown difficulty 'hrad' (use 1 to 6, or did you mean"),
        ({**ROW, "difficulty": True}, "'difficulty' is a boolean"),
        ({**ROW, "q": "What?"}, "the row has both 'question' and 'q'"),
        ({**ROW, "output": ""}, "'output' is empty"),
        ({"question": "Who?"}, "'output' is missing"),
        ({**ROW, "tags": [1]}, "'tags' is not a list of strings"),
        ({**ROW, "output": "I am ${NAME}."}, "${NAME} is not defined (define it: [data.source"),
    ],
)
def test_faults_of_a_row(row: dict[str, Any], words: str, tmp_path: Path) -> None:
    (fault,) = read(tmp_path / "t", ROW, row).fatal
    assert str(fault).startswith(f"{tmp_path}/t/{ORDER}:8: ") and words in str(fault)


def test_placeholders_are_filled(tmp_path: Path) -> None:
    row = {"q": "Is it ${NAME}?", "t": "${NAME}!", "o": "${NAME}, ${SPEC}; $${HOME} ${x} $5."}
    (found,) = read(tmp_path / "t", row, NAME="Ana", SPEC="a ${NAME}").rows
    assert [message.said for message in found.messages] == [
        "Is it Ana?",
        "Ana!\nAna, a ${NAME}; ${HOME} ${x} $5.",
    ]


def test_rows_of_their_own_keep_what_looks_like_a_placeholder(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    facts = {"category": "identity", "subcategory": "self", "source_version": "v1"}
    path.write_text(json.dumps({**ROW, **facts, "output": "echo ${PATH}"}))
    reading = read_source(path)
    assert (reading.format, reading.faults) == ("topics", [])
    assert reading.rows[0].expected == "echo ${PATH}"
    assert (reading.rows[0].category, reading.rows[0].labels) == (
        "identity",
        (("subcategory", "self"),),
    )
    filled = read_source(path, options=ReaderOptions(placeholders={"PATH": "/bin"})).rows[0]
    assert filled.expected == "echo /bin"


def test_gaps_and_strangers_are_told(tmp_path: Path) -> None:
    folder = tree(
        tmp_path / "t",
        topics__logic__order__logic_order_reasoning_json=[ROW],
        topics__logic__order__logic_ordre_qa_json=[ROW],
        topics__self__name__self_name_reasoning_json=[],
    )
    reading = read_source(folder)
    assert len(reading.rows) == 1 and not reading.fatal
    told = {Path(fault.place.path).name: fault.message for fault in reading.faults}
    assert told == {
        "logic.order.qa.json": "listed in the structure but missing",
        "logic.ordre.qa.json": "not listed in structure.enriched.json; ignored",
        "self.name.reasoning.json": "no examples here yet",
    }


@pytest.mark.parametrize(
    ("structure", "line", "words"),
    [
        ([], 1, "the structure is a list, not an object"),
        ({"logic": 7}, 2, "'logic' is a number, not an object"),
        ({"logic": {"order": []}}, 3, "'order' is a list, not an object"),
        ({"logic": {"order": {}}}, 3, "'order' has no content_type"),
        ({"logic": {"order": {"content_type": [1]}}}, 3, "'content_type' is not a list of strings"),
        ({"logic": {"..": {"content_type": "qa"}}}, 3, "'..' cannot be a file name"),
        ({"logic": {"a/b": {"content_type": "qa"}}}, 3, "'a/b' cannot be a file name"),
        ({"logic": {"order": {"content_type": "../../x"}}}, 3, "'../../x' cannot be a file name"),
        ({"/tmp": {"order": {"content_type": "qa"}}}, 3, "'/tmp' cannot be a file name"),
    ],
)
def test_faults_of_the_structure(structure: Any, line: int, words: str, tmp_path: Path) -> None:
    (fault,) = read_source(tree(tmp_path / "t", structure)).fatal
    assert str(fault).startswith(f"{tmp_path}/t/structure.enriched.json:{line}: {words}")


def test_scaffolding_writes_what_is_missing_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tree(tmp_path / "t", topics__logic__order__logic_order_reasoning_json=[ROW])
    before = (folder / ORDER).read_text()
    assert main(["data", str(folder), "--scaffold"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"created  {folder}/topics/logic/order/logic.order.qa.json",
        f"created  {folder}/topics/self/name/self.name.reasoning.json",
    ]
    assert (folder / ORDER).read_text() == before
    assert len(read_source(folder).rows) == 1 and not read_source(folder).fatal
    assert main(["data", str(folder), "--scaffold"]) == 0
    assert capsys.readouterr().out == "no files are missing\n"


def test_scaffolding_wants_a_tree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", str(tmp_path), "--scaffold"]) == 2
    assert "a topic tree needs a structure.enriched.json" in capsys.readouterr().err
    tree(tmp_path, {"logic": {"..": {"content_type": "qa"}}})
    assert main(["data", str(tmp_path), "--scaffold"]) == 2
    assert "'..' cannot be a file name" in capsys.readouterr().err
    assert not (tmp_path / "topics").exists()


def test_the_command_takes_the_keys_of_a_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"ask": "Who?", "o": "I am ${NAME}."}
    folder = str(tree(tmp_path / "t", topics__logic__order__logic_order_reasoning_json=[row]))
    keys = ["--set", "placeholders.NAME=Ana", "--set", "fields.question=ask"]
    assert main(["data", folder, *keys]) == 0
    assert main(["data", folder, *keys, "--set", "fields.qustion=ask"]) == 2
    assert "did you mean 'question'" in capsys.readouterr().err
