"""The report: what a person is told about their data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.dataset.helpers import chat
from workbench.dataset.checks import findings
from workbench.dataset.checks.findings import FindingFilter
from workbench.dataset.checks.summary import DatasetProfiler, DatasetSummary
from workbench.dataset.rows import Fault, Place, Row
from workbench.dataset.sources import iterate, plan_source


def summarise(
    path: Path, wanted: FindingFilter | None = None, held_out: tuple[Row, ...] = ()
) -> DatasetSummary:
    plan, survey = plan_source(path), DatasetProfiler(wanted, held_out=held_out)
    for entry in iterate(plan):
        survey.add(entry)
    survey.close()
    return survey.summary(str(path), *plan.files[0][1:])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rows = [
        {"prompt": "one", "completion": "1", "category": "numbers\x1b[31m"},
        {"prompt": "one ", "completion": "1"},
        {"prompt": "two", "completion": "22"},
        {"prompt": "two", "completion": "II"},
        {"prompt": "", "completion": "x"},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_a_summary_counts_and_shows_everything(path: Path) -> None:
    held = chat("two", "?", place=Place("held.jsonl", 7))
    summary = summarise(path, held_out=(held,))
    text = "\n".join(summary.lines())
    assert f"{path}: prompt-completion (" in text
    assert "rows            4" in text and "numbers\\x1b[31m 1" in text
    assert "findings        1 error, 4 warnings, 0 notes" in text
    assert f"{path}:2: duplicates {path}:1" in text
    assert "same opening prompt as held.jsonl:7, which is held out" in text
    assert "1 contradiction: an earlier row has a different response" in text
    assert "'prompt' is empty" not in text
    (error,) = summary.error_lines()
    assert error.startswith(f"{path}:5: 'prompt' is empty")
    assert "\x1b" not in text and not summary.usable


def test_filters_leave_out_codes_but_no_faults(path: Path) -> None:
    only = summarise(path, FindingFilter(only=frozenset({"duplicate"})))
    assert dict(only.findings.counts) == {"duplicate": 1}
    assert only.error_lines() == [] and not only.usable
    without = summarise(path, FindingFilter(ignored=frozenset({"duplicate"})))
    assert set(without.findings.counts) == {"contradiction", "empty"}


def test_the_summary_as_json_is_strict(path: Path) -> None:
    value = json.loads(json.dumps(summarise(path).to_json(), allow_nan=False))
    assert not value["usable"] and value["kinds"] == {"chat": 4}
    assert value["answer_chars"]["longest"] == 2 and value["text_chars"] is None
    assert value["counts"] == {"empty": 1, "duplicate": 1, "contradiction": 1}
    assert {finding["severity"] for finding in value["findings"]} == {"error", "warning"}


def test_long_lists_are_shortened_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "MAX_KEPT", 25)
    survey = DatasetProfiler()
    for n in range(1, 31):
        survey.add(Fault(Place("a", n), "empty", "bad"))
        survey.add(chat("same", "same answer", place=Place("a", n)))
    survey.close()
    summary = survey.summary("a", "chat", "")
    assert "    and 24 more" in summary.lines()
    assert "    and 4 more" in summary.lines(every=True)
    assert len(summary.error_lines()) == 21 and summary.error_lines()[-1] == "and 10 more"
    assert summary.findings.told() == "30 errors, 29 warnings, 0 notes"


def test_nothing_read_has_a_summary() -> None:
    summary = DatasetProfiler().summary("a", "", "")
    assert not summary.usable and "rows            0" in summary.lines()
