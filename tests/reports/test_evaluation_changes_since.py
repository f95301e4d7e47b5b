"""The change since an earlier evaluation: the first that has something to tell, and no other."""

from __future__ import annotations

from pathlib import Path

from tests.reports.helpers import case, write
from workbench.reports.evaluation_changes import EarlierEvaluation, changes_since
from workbench.reports.evaluation_report import read_report

NOW = [case(n, n != 1, answer=f"now {n}") for n in range(4)]


def earlier(
    folder: Path, name: str, failing: tuple[int, ...] = (), **given: object
) -> EarlierEvaluation:
    cases = [case(n, n not in failing, **given) for n in range(4)]
    write(folder / name, {"base": [case(0, False)], "tuned": cases})
    return EarlierEvaluation(name, read_report(folder / name))


def test_what_newly_passes_and_fails_is_named(tmp_path: Path) -> None:
    told = changes_since(
        "tuned", NOW, (), [earlier(tmp_path, "last", (2, 3)), earlier(tmp_path, "older")]
    )
    assert told and (told.name, told.model, told.date) == ("last", "tuned", "2026-11-21")
    assert [one.prompt for one in told.newly_failing] == ["prompt 1"]
    assert [one.prompt for one in told.newly_passing] == ["prompt 2", "prompt 3"]
    assert told.as_json() == {
        "name": "last",
        "date": "2026-11-21",
        "model": "tuned",
        "sentence": told.against.sentence,
        "newly_failing": 1,
        "newly_passing": 2,
        "as_before": 1,
        "gone": 0,
        "p_value": 1.0,
    }


def test_named_is_what_is_counted(tmp_path: Path) -> None:
    now = [*NOW, case(4, False, category="apart"), case(1, False, guard="g"), case(1, sample=1)]
    cases = [case(n, category="apart" if n == 4 else "seen") for n in range(5)]
    before = [*cases, case(1, guard="g"), case(1, False, sample=1)]
    write(tmp_path, {"base": [case(0, False)], "tuned": before})
    told = changes_since(
        "tuned", now, ("apart",), [EarlierEvaluation("last", read_report(tmp_path))]
    )
    assert told and told.against.counts["newly failing"] == 1
    assert [one.key for one in told.newly_failing] == [("", 1, 0)]
    assert told.newly_passing == ()


def test_the_judged_model_stands_for_one_that_is_not_there(tmp_path: Path) -> None:
    told = changes_since("mine", NOW, (), [earlier(tmp_path, "last")])
    assert told and told.model == "tuned"


def test_others_prompts_same_answers_and_damage_are_passed_over(tmp_path: Path) -> None:
    others = earlier(tmp_path, "others", prompt="something else")
    write(tmp_path / "same", {"base": [case(0, False)], "tuned": NOW})
    same = EarlierEvaluation("same", read_report(tmp_path / "same"))
    damaged = earlier(tmp_path, "damaged")
    (tmp_path / "damaged/cases/tuned.jsonl").write_text("{")
    last = earlier(tmp_path, "last")
    told = changes_since("tuned", NOW, (), [others, same, damaged, last])
    assert told and told.name == "last"
    assert changes_since("tuned", NOW, (), [others, same, damaged]) is None
