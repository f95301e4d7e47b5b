"""The checkers that ship: what passes, what they say, and that hostile input ends in a verdict."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workbench.checkers.builtin import KINDS
from workbench.checkers.execution import CheckItem, check, check_many, find_program
from workbench.checkers.verdict_cache import VerdictCache
from workbench.commands.data_preset import AnswerChecker
from workbench.core.errors import UserError, UserErrors
from workbench.dataset.rows import Message, Place, Row
from workbench.preset.loader import load
from workbench.runner import preflight
from workbench.runner.frozen_preset import checker_command, with_absolute_paths

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("words", "answer", "passed", "says"),
    [
        (["exact"], " yes\n", True, ""),
        (["exact"], "Yes", False, "differs from the expected response"),
        (["contains"], "a for loop", True, ""),
        (["contains"], "a while loop", False, "missing: for"),
        (["contains", "while", "loop"], "a while loop", True, ""),
        (["contains", "do", "for"], "a while loop", False, "missing: do, for"),
        (["regex", r"^\w{3}$"], "yes", True, ""),
        (["regex", r"{file} \d"], "yes 1", False, r"no match for {file} \d"),
        (["json"], ' {"a": [1, null]}\n', True, ""),
        (["json"], '{"a": }', False, "not valid JSON: line 1: Expecting value"),
        (["json"], "NaN", False, "not valid JSON: NaN is not a JSON number"),
        (["python"], "def f(x):\r\n    return x\n", True, ""),
        (["python"], "x = 1\ny = = 2", False, "line 2: invalid syntax"),
        (["similar", "0.9"], "yes", True, "chrF 1.000, required 0.9"),
        (["similar", "0.9"], "yesterday", False, "chrF 0.615, required 0.9"),
    ],
)
def test_verdicts(words: list[str], answer: str, passed: bool, says: str) -> None:
    command = [f"builtin:{words[0]}", *words[1:]]
    verdict = check(command, answer, expected="yes", must_contain=("for",))
    assert (verdict.passed, verdict.reason) == (passed, says)
    assert verdict.status == int(not passed)


def test_a_schema_is_found_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a {file}%20.json").write_text(json.dumps(SCHEMA))
    command = ["builtin:json-schema", "a {file}%20.json"]
    answers = ['{"n": 1}', '{"n": "1"}', '{"n": 1, "m": 2}', "{"]
    says = [verdict.reason for verdict in check_many(command, map(CheckItem, answers))]
    assert says[0] == "" and says[1] == "$.n: '1' is not of type 'integer'"
    assert "('m' was unexpected)" in says[2] and says[3].startswith("not valid JSON: line 1")


def test_a_schema_s_references_are_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"$ref": "http://127.0.0.1:9/x.json"}')
    verdict = check(["builtin:json-schema", str(tmp_path / "s.json")], "1")
    assert verdict.reason == "the schema has an unresolved reference: http://127.0.0.1:9/x.json"


def test_a_row_that_gives_nothing_to_judge_by_gets_no_verdict() -> None:
    for word in (["builtin:exact"], ["builtin:similar", "0.5"]):
        verdict = check(word, "x")
        assert (verdict.passed, verdict.status) == (None, None)
        assert verdict.reason == "the row has no expected response"
    assert check(["builtin:contains"], "x").reason == "the row has no must_contain"


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (["builtin:regex", r"^(a+)+$"], "a" * 40 + "b"),
        (["builtin:json"], "[" * 200_000),
        (["builtin:python"], "(" * 200_000),
        (["builtin:python"], "-" * 3_000_000 + "1"),
        (["builtin:python"], "f(" * 90 + ")" * 90 + ".a" * 400_000),
    ],
)
def test_hostile_input_ends_in_a_verdict(command: list[str], answer: str) -> None:
    verdict = check(command, answer, timeout_s=1)
    assert verdict.passed is False and verdict.reason


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["builtin:exat"], "no built-in checker 'exat' (did you mean 'exact'?)"),
        (["builtin:"], "no built-in checker '' (use contains, exact, json"),
        (["builtin:exact", "x"], 'builtin:exact takes no arguments (use ["builtin:exact"])'),
        (["builtin:regex"], 'one argument, PATTERN (use ["builtin:regex", "PATTERN"])'),
        (["builtin:contains", ""], "takes non-empty arguments"),
        (["builtin:regex", "("], "'(' is not a valid regular expression: missing )"),
        (["builtin:similar", "80"], "'80' is not a valid chrF threshold (use a number above 0"),
        (["builtin:similar", "nan"], "'nan' is not a valid chrF threshold"),
    ],
)
def test_words_that_cannot_be_meant(command: list[str], says: str) -> None:
    with pytest.raises(UserError) as caught:
        find_program(command)
    assert says in str(caught.value)
    with pytest.raises((UserError, UserErrors)) as caught:
        load("quickstart", [f"evaluate.checker={json.dumps(command)}"])
    assert says.partition(" (")[0] in str(caught.value)


def test_every_kind_is_taken_by_a_preset() -> None:
    words = {"regex": ["x{file}"], "json-schema": ["s.json"], "similar": ["0.8"]}
    for name in KINDS:
        command = [f"builtin:{name}", *words.get(name, [])]
        value = json.dumps(command)
        preset = load("quickstart", [f"evaluate.checker={value}"]).preset
        assert preset.evaluate.checker == command


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "s.json: the schema cannot be read: No such file"),
        ("{", "s.json: not valid JSON: "),
        ("[]", "s.json: not a JSON Schema: it is neither"),
        ('{"type": "strin"}', "s.json: not a valid JSON Schema: $.type: 'strin' is not valid"),
    ],
)
def test_a_file_that_is_no_schema(tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "s.json").write_text(content)
    with pytest.raises(UserError) as caught:
        find_program(["builtin:json-schema", str(tmp_path / "s.json")])
    assert says in str(caught.value)


def test_what_is_remembered_is_of_the_row(tmp_path: Path) -> None:
    checker = VerdictCache(("builtin:exact",), folder=tmp_path)
    items = [CheckItem("x", expected="x"), CheckItem("x", expected="y"), CheckItem("x")]
    for _ in range(2):
        assert [v.passed for v in checker.judge(items, 2)] == [True, False, None]


def test_the_expected_answer_is_taken_as_answers_are(tmp_path: Path) -> None:
    answer = Message("assistant", "Here:\n```\nx\n```\nDone.")
    row = Row(Place("f", 1), (Message("user", "u"), answer))
    judge = AnswerChecker(VerdictCache(("builtin:exact",), folder=tmp_path), "code-block-or-all")
    assert list(judge.findings([row])) == [None]


def test_a_nul_is_no_python() -> None:
    assert "null bytes" in check(["builtin:python"], "x = '\0'").reason


def test_a_schema_beside_the_preset_is_found_by_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    beside = tmp_path / "presets"
    beside.mkdir()
    (beside / "s.json").write_text(json.dumps(SCHEMA))
    (beside / "x").write_text("a file that a word happens to name")
    text = (Path(__file__).parents[2] / "presets" / "quickstart.toml").read_text("utf-8")
    (beside / "mine.toml").write_text(text)
    loaded = load(str(beside / "mine.toml"), ['evaluate.checker=["builtin:json-schema", "s.json"]'])
    preflight.check(loaded, tmp_path)
    schema = str(beside / "s.json")
    assert with_absolute_paths(loaded).evaluate.checker == ["builtin:json-schema", schema]
    assert checker_command(["builtin:contains", "./x"], loaded.path) == ["builtin:contains", "./x"]
    gone = load(str(beside / "mine.toml"), ['evaluate.checker=["builtin:json-schema", "n.json"]'])
    with pytest.raises(UserErrors, match="'n.json' not found"):
        preflight.check(gone, tmp_path)
