"""What the stage writes is read back as it was; what it did not write is one line."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.reports.helpers import case, write
from workbench.core.errors import UserError
from workbench.reports.cases import Case, read_cases, to_lines
from workbench.reports.evaluation_report import GuardResult, read_report

GUARD = GuardResult("python", 0.6, 0.5, 0.05, 20, False, "python: LOST")
ASKED = [case(0, False), case(1, category="invented"), case(0, guard="python", category="")]


def test_a_report_comes_back_as_it_was_written(tmp_path: Path) -> None:
    models = {"base": [case(0, False), case(1, False)], "a/b": [case(0), case(1)], "tuned": ASKED}
    written = write(tmp_path, models, apart=["invented"], guards=[GUARD])
    told = read_report(tmp_path)
    assert (told.subject, told.reference, told.passed) == ("tuned", "base", False)
    assert told.verdict == written.verdict and told.guards == (GUARD,)
    assert told.gains == written.gains and told.checker == "a checker {file}"
    assert list(told.models) == ["base", "a/b", "tuned"]
    tuned = told.models["tuned"]
    assert tuned.headline["passed"] == 0.0 and tuned.headline["prompts"] == 1
    assert list(tuned.categories) == ["seen"] and list(tuned.apart) == ["invented"]
    assert list(tuned.read_cases()) == ASKED
    assert [len(list(model.read_cases())) for model in told.models.values()] == [2, 2, 3]
    assert all(path.is_file() for path in written.files)


def test_a_case_keeps_all_of_its_fields(tmp_path: Path) -> None:
    whole = case(
        3,
        None,
        missing=("a",),
        must_contain=("a", "b"),
        exact=False,
        earlier=(("system", "s"), ("user", "u\u2028\x1b")),
        answer="ü\n",
        elapsed_s=0.25,
    )
    (tmp_path / "cases.jsonl").write_text(to_lines([whole, whole]))
    assert list(read_cases(tmp_path / "cases.jsonl")) == [whole, whole]


def test_the_first_format_held_the_cases_itself(tmp_path: Path) -> None:
    write(tmp_path, {"base": [case(0, False)], "tuned": ASKED})
    value = json.loads((tmp_path / "report.json").read_text())
    value["format"] = "workbench-report-1"
    older = [
        {k: v for k, v in asdict(one).items() if k not in ("guard", "earlier")} for one in ASKED
    ]
    value["models"]["tuned"]["cases"] = older
    (tmp_path / "report.json").write_text(json.dumps(value))
    cases = list(read_report(tmp_path).models["tuned"].read_cases())
    assert [one.answer for one in cases] == [one.answer for one in ASKED]
    assert all(one.guard == "" and one.earlier == () for one in cases)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "no finished evaluation here"),
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "not an evaluation report"),
        ("7", "not an evaluation report"),
        ('{"format": "workbench-report-2"}', "not an evaluation report"),
        ('{"format": "other"}', "unsupported report format 'other'"),
    ],
)
def test_what_is_no_report_is_one_line(tmp_path: Path, text: str | None, fault: str) -> None:
    if text is not None:
        (tmp_path / "report.json").write_text(text)
    with pytest.raises(UserError, match=fault) as caught:
        read_report(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("models",), []),
        (("models", "tuned", "cases"), 7),
        (("models", "tuned", "cases"), [{"index": "x"}]),
        (("models", "tuned", "headline"), "x"),
        (("gains", "base"), {"both": 1}),
        (("gains", "base", "p_value"), "x"),
        (("guards",), [{"name": "x"}]),
        (("subject",), "another"),
    ],
)
def test_a_field_of_another_kind_is_one_line(
    tmp_path: Path, path: tuple[str, ...], value: object
) -> None:
    write(tmp_path, {"base": [case(0)], "tuned": ASKED})
    told = json.loads((tmp_path / "report.json").read_text())
    place = told
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    (tmp_path / "report.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match="not an evaluation report"):
        read_report(tmp_path)


@pytest.mark.parametrize(
    "line", ["", "7", "{}", '{"index": 1}', '{"prompt": 7}', "\x00", "[" * 99999]
)
def test_a_damaged_case_is_told_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(to_lines([case(0)]) + line + "\n")
    found: list[Case] = []
    with pytest.raises(UserError, match="cases.jsonl:2: not a valid evaluation case"):
        found.extend(read_cases(path))


def test_cases_that_are_gone_are_one_line(tmp_path: Path) -> None:
    write(tmp_path, {"tuned": ASKED})
    (tmp_path / "cases/tuned.jsonl").unlink()
    with pytest.raises(UserError, match="cannot be read"):
        list(read_report(tmp_path).models["tuned"].read_cases())


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        ({"passed": True}, "passed"),
        ({"passed": False, "exact": True}, "failed"),
        ({"passed": None, "must_contain": ("a",), "missing": ("a",)}, "failed"),
        ({"passed": None, "must_contain": ("a",)}, "passed"),
        ({"passed": None, "exact": False}, "failed"),
        ({"passed": None}, "unjudged"),
        ({"passed": True, "problem": "down"}, "unmeasured"),
    ],
)
def test_the_verdict_of_a_case(given: dict[str, object], verdict: str) -> None:
    assert case(0, **given).verdict == verdict  # type: ignore[arg-type]
