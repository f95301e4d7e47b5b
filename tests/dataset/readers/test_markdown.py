"""Markdown examples: front matter, schema, sections, and the conversation that each type makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.dataset.reader_options import ReaderOptions
from workbench.dataset.readers.lines import Line
from workbench.dataset.readers.markdown_parts import Code, sections
from workbench.dataset.rows import Row
from workbench.dataset.sources import ReadResult, read_source

FACTS = {"title": "Hello window", "type": "completion", "description": "Show a window."}
OLD, NEW = "```bbj\nprint 'old'\n```", "```bbj\nprint 'new'\n```"
BODY = f"## Code\n\n{NEW}\n\n## Expected Behavior\n\nIt opens.\n\n## Explanation\n\nIt prints.\n"


def write(path: Path, body: str = BODY, **facts: object) -> Path:
    lines = [f"{key}: {json.dumps(value)}" for key, value in {**FACTS, **facts}.items()]
    path.write_text("---\n" + "\n".join(lines) + "\n---\n\n" + body)
    return path


def the_row(path: Path, body: str = BODY, **facts: object) -> Row:
    reading = read_source(write(path, body, **facts))
    assert reading.format == "markdown" and not reading.faults, reading.faults
    return reading.rows[0]


def test_a_completion_asks_for_the_code(tmp_path: Path) -> None:
    facts = {"generation": ["bbj-gui", "dwc"], "difficulty": "basic", "tags": ["gui"]}
    row = the_row(tmp_path / "a.md", **facts)
    prompt, answer = row.messages
    assert prompt.content == "Show a window.\n\nIt opens.\n\nGeneration: bbj-gui, dwc"
    assert answer.content == NEW
    assert (row.category, row.difficulty, row.tags) == ("completion", "basic", ("gui",))
    assert row.labels == (("generation", "bbj-gui"), ("generation", "dwc"))
    assert row.place.line == 1


def test_a_comprehension_asks_what_the_code_does(tmp_path: Path) -> None:
    row = the_row(tmp_path / "a.md", type="comprehension", generation="all")
    assert row.messages[0].content == f"Explain this bbj code.\n\n{NEW}"
    assert row.expected == "It opens.\n\nIt prints."
    assert row.labels == (("generation", "all"),)


@pytest.mark.parametrize(
    "body",
    [
        f"## Original Code\n{OLD}\n## Code\n{NEW}\n## Explanation\nSo.\n",
        f"## Code\n{OLD}\n## Expected Output\n{NEW}\n## Explanation\nSo.\n",
        f"## Code\n{OLD}\n{NEW}\n## Explanation\nSo.\n",
    ],
)
def test_a_migration_goes_from_the_first_code_to_the_last(body: str, tmp_path: Path) -> None:
    row = the_row(tmp_path / "a.md", body, type="migration")
    assert row.messages[0].content == f"Migrate this code.\n\n{OLD}"
    assert row.expected == f"{NEW}\n\nSo."


def test_an_explanation_asks_its_title(tmp_path: Path) -> None:
    body, question = "## Explanation\n\nIt waits.\n", "What does `process_events` do?"
    row = the_row(tmp_path / "a.md", body, type="explanation", title=question)
    assert (row.messages[0].content, row.expected) == (question, "It waits.")
    row = the_row(tmp_path / "a.md", body, type="explanation")
    assert row.messages[0].content == "Explain: Hello window"


@pytest.mark.parametrize("kind", ["completion", "comprehension", "migration", "explanation"])
def test_a_prompt_of_ones_own_goes_first(kind: str, tmp_path: Path) -> None:
    body = f"## Original Code\n{OLD}\n{BODY}"
    row = the_row(tmp_path / "a.md", body, type=kind, prompt="Do as I say.")
    assert row.messages[0].content.startswith("Do as I say.")


def test_yaml_guesses_at_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.md")
    path.write_text(
        path.read_text().replace("---\n", "---\ntags: [no, 2024-01-31, 010, 1:30]\n", 1)
    )
    assert read_source(path).rows[0].tags == ("no", "2024-01-31", "010", "1:30")


def test_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.md")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    reading = read_source(path)
    assert (reading.format, reading.rows[0].expected) == ("markdown", NEW)


def test_what_is_not_used_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.md", "Intro.\n\n" + BODY + "## Notes\n\nx\n", author="me")
    told = [(fault.message, fault.fatal) for fault in read_source(path).faults]
    assert told == [
        ("unused front matter keys: 'author'", False),
        ("text before the first section is not used", False),
        ("section 'Notes' is not used", False),
    ]


def test_markdown_without_a_type_is_text(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("---\ntitle: x\n---\n\nHello.\n")
    assert read_source(tmp_path / "a.md").format == "text"
    assert (
        read_source(tmp_path / "a.md", "markdown").fatal[0].message
        == "'type' is a required property"
    )


def test_a_named_format_takes_the_markdown_of_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "a.md")
    (tmp_path / "logo.png").write_bytes(b"\x89PNG")
    reading = read_source(tmp_path, "markdown")
    assert len(reading.rows) == 1 and not reading.fatal
    assert str(reading.faults[0]).endswith(
        ": 1 file skipped: not .md or .markdown (such as logo.png)"
    )


SCHEMA = {
    "type": "object",
    "required": ["title", "type", "generation"],
    "properties": {"generation": {"enum": ["dwc", "vpro5"]}},
    "additionalProperties": False,
}


def with_schema(tmp_path: Path, schema: object, **facts: object) -> ReadResult:
    (tmp_path / "s.json").write_text(json.dumps(schema))
    options = ReaderOptions(schema=str(tmp_path / "s.json"))
    return read_source(write(tmp_path / "a.md", **facts), options=options)


def test_a_schema_of_ones_own(tmp_path: Path) -> None:
    open_schema = {**SCHEMA, "additionalProperties": True}
    assert with_schema(tmp_path, open_schema, generation="dwc").rows
    (fault,) = with_schema(tmp_path, open_schema, generation="cobol").faults
    assert str(fault) == f"{tmp_path}/a.md:5: generation: 'cobol' is not one of ['dwc', 'vpro5']"
    messages = [fault.message for fault in with_schema(tmp_path, SCHEMA).faults]
    assert "'generation' is a required property" in messages
    assert any("'type'" in message and "unexpected" in message for message in messages), messages


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ([], "the schema is a list"),
        ({"type": "nonsense"}, "not a valid JSON Schema: 'nonsense' is not valid"),
        ({"$ref": "https://example.org/x.json"}, "unresolved reference https://example.org/x.json"),
        ({"$ref": "#"}, "refers to itself endlessly"),
        ({"properties": {"title": {"pattern": "("}}}, "not a valid JSON Schema"),
    ],
)
def test_a_bad_schema_is_one_line(schema: object, words: str, tmp_path: Path) -> None:
    reading = with_schema(tmp_path, schema)
    assert not reading.rows
    assert words in str(reading.faults[0]) and "\n" not in str(reading.faults[0])


def test_a_missing_schema_is_told_once(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / f"{name}.md")
    reading = read_source(tmp_path, options=ReaderOptions(schema=str(tmp_path / "none.json")))
    assert [str(fault) for fault in reading.faults] == [
        f"{tmp_path}/none.json: file not found (check the path)"
    ]


LINE = st.text(
    st.characters(
        codec="utf-8", exclude_characters="\0\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\ufeff"
    )
)


@settings(max_examples=60, deadline=None)
@given(code=st.lists(LINE, min_size=1, max_size=5), language=st.sampled_from(["", "bbj", "c++"]))
def test_code_is_read_as_it_was_fenced(code: list[str], language: str) -> None:
    text = "\n".join(code).strip("\n")
    written = f"## Code\n\n{Code(language, text).fenced()}\n\n## Explanation\n\nx"
    lines = [Line(number, line) for number, line in enumerate(written.split("\n"), 1)]
    found = sections(lines)
    assert [section.name for section in found] == ["", "Code", "Explanation"]
    assert found[1].codes == (Code(language, text),)
