"""The evaluation on the screen: figures, prompts, answers side by side, and what changed."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from tests.reports.helpers import case, write
from tests.run.helpers import make_run
from tests.tui.evaluated import HOSTILE, MODELS, answered, asked, evaluated_run, guarded
from tests.tui.helpers import finished_run, on_screen, stopped_run, text_of, until
from workbench.dataset.sources import read_source
from workbench.run import events
from workbench.run.folder import RunFolder, runs_root
from workbench.run.log import EventLog
from workbench.tui import terminal
from workbench.tui.app import WorkbenchApp
from workbench.tui.dialogs.correction import Correction
from workbench.tui.panes.evaluate import case_text, metrics_table
from workbench.tui.panes.evaluate.case_list import CaseRows, FigureRows
from workbench.tui.panes.evaluate.model import (
    CaseFilter,
    LiveEvaluation,
    PromptCases,
    compare,
    open_report,
    select,
)
from workbench.tui.panes.evaluate.pane import EvaluatePane

Story = Callable[[Pilot[None], WorkbenchApp, EvaluatePane], Awaitable[None]]


def in_pane(story: Story, size: tuple[int, int] = (80, 24), ready: str = "verdicts:") -> None:
    async def with_pane(pilot: Pilot[None], app: WorkbenchApp) -> None:
        pane = await app.go("evaluate")
        assert isinstance(pane, EvaluatePane)
        await until(pilot, lambda: ready in text_of(app))
        await pilot.pause()
        await story(pilot, app, pane)

    on_screen(with_pane, size)


async def choose(pilot: Pilot[None], app: WorkbenchApp, key: str, part: str) -> None:
    """Press the key, narrow the list that it brings, take what is left."""
    await pilot.press(key)
    app.screen.query_one(Input).value = part
    await pilot.press("enter")


def shown(pane: EvaluatePane) -> list[int]:
    """The numbers of the prompts in the list, those of guards left out."""
    return [one.first.index for one in pane.query_one(CaseRows).asked if not one.first.guard]


# What is wanted


def test_filters_by_verdict_category_and_text() -> None:
    opened = open_report(evaluated_run(failing=(3, 7)))
    earlier = open_report(evaluated_run("earlier", failing=(3, 8)))
    other = compare(opened, earlier)

    def numbers(**wanted: str) -> list[int]:
        found = select(opened, other, CaseFilter(**wanted))
        return [one.first.index for one in found if not one.first.guard]

    assert len(select(opened, None, CaseFilter())) == 50
    assert numbers(show="failed") == [3, 7] and len(numbers(show="passed")) == 28
    assert numbers(show="newly failing") == [7] and numbers(show="newly passing") == [8]
    assert numbers(show="differs") == [n for n in range(30) if n not in (3, 7)]
    assert numbers(show="not measured") == []
    assert numbers(group="seen") == list(range(0, 30, 3)) and numbers(group="guard python") == []
    assert len(select(opened, other, CaseFilter(group="guard python"))) == 20
    assert numbers(text="NUMBER 12") == [12] and numbers(text="Owned") == [3, 7, 11]
    assert numbers(text="expected 'def'") == list(range(30))
    assert numbers(show="failed", group="fresh words") == [7]
    assert numbers(order="failing first")[:2] == [3, 7]
    assert numbers(order="by category")[0] == 1
    opened.subject = "tuned q4_k_m"
    assert numbers(show="failed") == [3, 7, 11]


def test_another_model_of_the_other_run_where_none_has_the_name(tmp_path: Path) -> None:
    opened = open_report(evaluated_run())
    before = make_run(runs_root(), "before")
    write(before.evaluation, {"only": [case(0, False, prompt=opened.asked[0].first.prompt)]})
    found = compare(opened, open_report(before))
    assert found.name == "before only" and found.against.counts["newly passing"] == 1


def test_events_of_a_stage_at_work_are_folded_into_the_same_askings(tmp_path: Path) -> None:
    run = make_run(tmp_path, "live")
    told = [answered(one, "base", n + 1, 3) for n, one in enumerate([*asked("base", 2)] * 2)]
    told += [answered(one, "tuned", n + 1, 3) for n, one in enumerate(reversed(asked("tuned", 2)))]
    live = LiveEvaluation(run)
    for count in (1, 1, 4, 6):
        live.take(told[:count])
    opened = live.opened
    assert opened.models == ["base", "tuned"] and opened.subject == "tuned"
    assert [sorted(one.cases) for one in opened.asked] == [["base", "tuned"]] * 2 + [["base"]] * 2
    assert all(len({c.prompt for c in one.cases.values()}) == 1 for one in opened.asked)
    assert len({one.first.key for one in opened.asked}) == 4


# One prompt in lines


@pytest.mark.parametrize("width", [20, 49, 50, 90, 200])
def test_answers_stand_side_by_side_and_no_line_is_too_wide(width: int) -> None:
    opened = open_report(evaluated_run())
    one = opened.asked[3]
    lines = case_text.lines(one, opened.models, None, width)
    assert all(line.cell_len <= width for line in lines)
    text = "\n".join(line.plain for line in lines)
    assert ("base" in text and "\x1b" not in text) and "\u202e" not in text
    beside = [line.plain for line in lines if "base  ✗" in line.plain]
    assert ("tuned  ✗" in beside[0]) == (width >= 50)
    flat = text.replace("│", " ").split()
    for word in ("✗", "checker:", "missing:", "expected", "contain:"):
        assert word in flat


def test_wide_characters_keep_the_columns_straight() -> None:
    wide = PromptCases({"a": case(0, answer="数" * 30), "b": case(0, answer="x" * 40)})
    lines = case_text.lines(wide, ["a", "b"], None, 60)
    bars = {cell_len(line.plain.split("│")[0]) for line in lines if "│" in line.plain}
    assert len(bars) == 1


def test_the_case_as_markdown_holds_all_of_it() -> None:
    opened = open_report(evaluated_run())
    text = case_text.markdown(opened.asked[3], opened.models)
    for words in ("number 3.", "must contain: Parcel, name", "## expected", "## tuned q4_k_m"):
        assert words in text
    assert "- fails\n- checker: line 1" in text and "\x1b" not in text


# On the screen


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 40), (200, 60)])
def test_from_the_figures_to_the_prompts_to_the_answers(size: tuple[int, int]) -> None:
    evaluated_run()

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: EvaluatePane) -> None:
        figures = pane.query_one(FigureRows)
        table = "\n".join(line.text.plain for line in figures.lines)
        assert "tuned vs. base: +0.9" in table and "newly pass" in table
        assert "python: passed" in table and "invented (separate)" in table
        await pilot.press(*"G")
        assert "guard" in (figures.chosen.group or "" if figures.chosen else "")
        line = next(n for n, line in enumerate(figures.lines) if line.group == "fresh words")
        figures.cursor = line
        await pilot.press("enter")
        assert set(shown(pane)) == set(range(1, 30, 3)) and pane.view == "cases"
        assert "10 of 50 prompts: fresh words" in text_of(app)
        await pilot.press("n", "enter")
        text = text_of(app)
        assert pane.asked and pane.asked.first.index == 7 and pane.view == "case"
        assert "base  ✗ fails" in text and "tuned  ✗ fails" in text and "\x1b" not in text
        await pilot.press("escape", "escape")
        assert len(shown(pane)) == 30 and pane.view == "cases"
        assert pane.asked and pane.asked.first.index == 7
        await pilot.press("escape")
        assert pane.view == "figures"

    in_pane(story, size)


def test_the_next_failing_prompt_and_the_one_before() -> None:
    evaluated_run(failing=(3, 8))

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: EvaluatePane) -> None:
        numbers = []
        for key in ("n", "n", "N"):
            await pilot.press(key)
            assert pane.asked
            numbers.append(pane.asked.first.index)
        assert numbers == [3, 8, 3] and pane.view == "case"
        await pilot.press("N")
        assert "no failing prompt above for tuned" in app.status.line
        await pilot.press("s", "s")
        assert app.status.line.endswith("base")
        await pilot.press("n")
        assert pane.asked and pane.asked.first.index == 4

    in_pane(story)


def test_filters_are_chosen_by_name() -> None:
    evaluated_run(failing=(3, 8))

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: EvaluatePane) -> None:
        await pilot.press("f")
        assert "newly failing" not in text_of(app)
        await pilot.press("escape")
        await choose(pilot, app, "f", "fail")
        assert shown(pane) == [3, 8] and pane.view == "cases"
        await choose(pilot, app, "c", "seen")
        assert shown(pane) == [3] and "failed, seen" in text_of(app)
        await pilot.press("slash")
        app.screen.query_one(Input).value = "[bold]nothing"
        await pilot.press("enter")
        assert shown(pane) == [] and "No prompts match" not in text_of(app)
        await pilot.press("enter")
        assert "No prompts match" in text_of(app)
        await pilot.press("escape", "escape")
        assert len(shown(pane)) == 30

    in_pane(story)


def test_what_newly_fails_against_another_run() -> None:
    evaluated_run("old", failing=(3, 8))
    run = evaluated_run("new", failing=(3, 4))
    os.utime(run.preset_file, (2_000_000_000, 2_000_000_000))

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: EvaluatePane) -> None:
        await choose(pilot, app, "v", "old")
        await until(pilot, lambda: pane.other is not None)
        assert app.status.line == "workbench runs new old"
        lines = " ".join(line.text.plain for line in pane.query_one(FigureRows).lines)
        told = " ".join(lines.split())
        assert "tuned vs. old tuned: 0 newly pass, 1 newly fail on 20 shared prompts" in told
        await choose(pilot, app, "f", "newly f")
        assert shown(pane) == [4]
        await pilot.press("enter")
        assert "old tuned  ✓ passes" in text_of(app) and "newly failing" in text_of(app)
        await pilot.press("s")
        assert pane.other and pane.other.name == "old tuned q4_k_m"
        await choose(pilot, app, "v", "no other")
        assert pane.other is None and pane.wanted.show == "all"

    in_pane(story, (120, 40))


def test_categories_are_ordered_and_another_figure_is_shown() -> None:
    evaluated_run(failing=(3, 8, 9))

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: EvaluatePane) -> None:
        figures = pane.query_one(FigureRows)

        def names() -> list[str]:
            return [line.group for line in figures.lines if line.measure and line.group]

        def titles() -> str:
            return "\n".join(line.text.plain for line in figures.lines)

        assert names() == ["fresh words", "seen", "invented"] and "pass rate, by name" in titles()
        await pilot.press("o")
        assert names() == ["seen", "invented", "fresh words"] and "lowest first" in titles()
        await pilot.press("o")
        assert names() == ["fresh words", "invented", "seen"] and "largest gain" in titles()
        await pilot.press("m")
        assert "adherence, largest gain first" in titles()
        await pilot.press("m", "m", "m", "m")
        assert pane.measure == "passed"

    in_pane(story)


def test_a_perplexity_is_no_share_and_lower_is_better() -> None:
    assert [metrics_table._five(v) for v in (1.5, 35.25, 152.4, 1523.0, 99_000.0, 123_456.0)] == [
        "1.500", "35.25", "152.4", "1523", "99000", "1e+05",
    ]  # fmt: skip
    run = make_run(runs_root(), "weighed")
    nats = {"base": (0.5, 3.0), "tuned": (0.4, 0.1)}
    models = {
        name: [
            case(n, category=category, expected_tokens=1, expected_nats=loss)
            for n, (category, loss) in enumerate(zip("ab", losses, strict=True))
        ]
        for name, losses in nats.items()
    }
    write(run.evaluation, models)
    opened = open_report(run)
    lines = metrics_table.lines(opened, "perplexity", "largest gain first", None, 120)
    assert [line.group for line in lines if line.measure == "perplexity"] == ["", "b", "a"]
    text = "\n".join(line.text.plain for line in lines)
    assert "perplexity of expected responses" in text and "20.09" in text
    shown = case_text.markdown(opened.asked[1], opened.models)
    assert "perplexity of the expected response: 20.09" in shown


def test_a_prompt_with_its_right_answer_becomes_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    evaluated_run()

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: EvaluatePane) -> None:
        await pilot.press("n", "C")
        dialog = app.screen
        assert isinstance(dialog, Correction) and pane.asked
        right = pane.asked.first.expected
        assert dialog.query_one(TextArea).text == right
        dialog.query_one("#path", Input).value = "rows.jsonl"
        await pilot.press("f2")
        (row,) = read_source(tmp_path / "rows.jsonl").rows
        assert row.messages[0].content == pane.asked.first.prompt and row.expected == right
        assert "rows.jsonl:1" in app.status.line

    in_pane(story)


def test_what_was_said_before_goes_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    (tmp_path / "talk.jsonl").write_text(json.dumps({"messages": turns}) + "\n")
    run = make_run(runs_root(), "talks")
    earlier = (("system", "be brief"), ("user", "one"), ("assistant", "two"))
    write(run.evaluation, {"tuned": [case(0, False, earlier=earlier, expected="")]})

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: EvaluatePane) -> None:
        await pilot.press("n")
        assert "system: be brief" in text_of(app)
        await pilot.press("C")
        assert app.screen.query_one(TextArea).text == "answer 0"
        app.screen.query_one(TextArea).text = "right"
        app.screen.query_one("#path", Input).value = "talk.jsonl"
        await pilot.press("f2")
        said = read_source(tmp_path / "talk.jsonl").rows[1].messages
        assert [m.content for m in said] == ["be brief", "one", "two", "prompt 0", "right"]

    in_pane(story)


def test_copy_and_editor_give_the_prompt_with_its_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated_run()
    opened: list[tuple[str, bool]] = []

    def edit(app: object, path: Path, line: int = 1) -> None:
        opened.append((path.read_text(), os.access(path, os.W_OK) and os.geteuid() != 0))

    monkeypatch.setattr(terminal, "edit", edit)

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: EvaluatePane) -> None:
        text, what = pane.copied()
        assert what == "the metrics" and "tuned vs. base" in text
        await pilot.press("n", "e")
        assert opened == [(pane.copied()[0], False)]
        assert "## expected" in opened[0][0] and "\x1b" not in opened[0][0]

    in_pane(story)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_answers_come_while_the_stage_is_at_work(size: tuple[int, int]) -> None:
    run = make_run(runs_root(), "busy")
    log = EventLog(run.events_file)
    log.append(events.RunStarted(pid=1, host="h", version="0", stages=["evaluate"]))
    log.append(events.StageStarted(title="Evaluate"), "evaluate")

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: EvaluatePane) -> None:
        for number, one in enumerate(asked("base", 3)):
            log.append(answered(one, "base", number + 1, 5), "evaluate")
        await until(pilot, lambda: "3 of 5 done" in text_of(app))
        assert "0 of 3 checked passed" in text_of(app)
        await pilot.press("n", "enter")
        assert "base  ✗ fails" in text_of(app) and "checker: line 1" in text_of(app)
        for number, one in enumerate(asked("tuned", 3)):
            log.append(answered(one, "tuned", number + 1, 5), "evaluate")
        await until(pilot, lambda: "tuned  ✓ passes" in text_of(app))
        assert not pane.allows("measure") and not pane.allows("against")
        write(run.evaluation, {"base": asked("base", 3), "tuned": asked("tuned", 3)})
        log.append(events.StageDone(elapsed_s=1.0, inputs="x"), "evaluate")
        await until(pilot, lambda: pane.opened is not None and pane.opened.report is not None)
        assert pane.live is None and pane.allows("measure")

    on_screen_of(story, size)
    log.close()


def on_screen_of(story: Story, size: tuple[int, int]) -> None:
    """As `in_pane`, before there is anything to see."""
    in_pane(story, size, ready="busy")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: None, "No run selected"),
        (lambda: stopped_run(), "workbench resume stopped"),
        (lambda: finished_run(), "workbench resume finished"),
    ],
)
def test_what_there_is_to_do_before_there_is_a_report(
    make: Callable[[], object], said: str
) -> None:
    make()

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: EvaluatePane) -> None:
        assert not pane.allows("next_failing") and pane.copied() == ("", "")
        for key in ("n", "f", "enter", "C", "escape"):
            await pilot.press(key)

    in_pane(story, ready=said)


def damaged(run: RunFolder) -> None:
    (run.evaluation / "cases" / "tuned.jsonl").write_text("{}\n")


def no_json(run: RunFolder) -> None:
    (run.evaluation / "report.json").write_text("[" * 9999)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [(damaged, "tuned.jsonl:1: not a valid evaluation case"), (no_json, "not valid JSON")],
)
def test_a_damaged_report_is_told_in_a_line(spoil: Callable[[RunFolder], None], said: str) -> None:
    spoil(evaluated_run())

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: EvaluatePane) -> None:
        await until(pilot, lambda: said in text_of(app).replace("\n ", " "))
        assert pane.opened is None

    in_pane(story, (200, 24), ready="tuned-twice")


def test_another_run_shows_its_own_evaluation_and_a_new_report_is_read() -> None:
    evaluated_run("one")
    two = evaluated_run("two", failing=())
    os.utime(two.preset_file, (2_000_000_000, 2_000_000_000))

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: EvaluatePane) -> None:
        assert pane.opened and pane.opened.run.name == "two"
        app.choose(next(run for run in app.watching.runs if run.name == "one"))
        await until(pilot, lambda: bool(pane.opened and pane.opened.run.name == "one"))
        app.choose(two)
        await until(pilot, lambda: bool(pane.opened and pane.opened.run.name == "two"))
        write(two.evaluation, {"tuned": asked("tuned", 4)})
        pane.run_chosen()
        await until(pilot, lambda: bool(pane.opened and len(pane.opened.asked) == 4))

    in_pane(story)


def test_hostile_names_and_texts_do_nothing(tmp_path: Path) -> None:
    run = make_run(runs_root(), "hostile")
    bad = case(0, False, prompt=HOSTILE, category=HOSTILE, answer=HOSTILE, checker_says=HOSTILE)
    write(run.evaluation, {HOSTILE: [bad], "tuned": [bad, case(1, guard=HOSTILE)]})

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: EvaluatePane) -> None:
        for key in ("enter", "enter", "f", "escape", "c", "escape"):
            await pilot.press(key)
            text = text_of(app)
            assert "\x1b" not in text and "\u202e" not in text

    in_pane(story)


def test_two_thousand_prompts_open() -> None:
    run = make_run(runs_root(), "large")
    cases = {name: asked(name, 2000, range(0, 2000, 9)) for name in MODELS}
    write(run.evaluation, cases)

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: EvaluatePane) -> None:
        assert len(shown(pane)) == 2000
        await choose(pilot, app, "f", "failed")
        assert len(shown(pane)) == 223
        await pilot.press("G", "enter")
        assert pane.asked and pane.asked.first.index == 1998

    in_pane(story)


def test_guards_are_looked_into() -> None:
    evaluated_run()

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: EvaluatePane) -> None:
        await pilot.press("G", "enter")
        assert pane.wanted.group == "guard python"
        assert len(pane.query_one(CaseRows).asked) == len(guarded("base"))

    in_pane(story)


def test_the_report_names_where_the_cases_are() -> None:
    run = evaluated_run()
    told = json.loads((run.evaluation / "report.json").read_text())
    assert [model["cases"] for model in told["models"].values()][0] == "cases/base.jsonl"
