"""The preset's form: what it shows is what loading says, and its text keeps all but the change."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.tui.helpers import on_screen, text_of, until
from workbench.preset.fields import leaves
from workbench.preset.loader import load
from workbench.run import launch
from workbench.run.folder import list_runs, runs_root
from workbench.runner import dry_run
from workbench.tui import terminal
from workbench.tui.app import WorkbenchApp
from workbench.tui.dialogs.dialog import Confirm, Entry
from workbench.tui.panes.preset import dry_run as dry_run_model
from workbench.tui.panes.preset.draft import Draft
from workbench.tui.panes.preset.form_text import attempted, change_lines, fault_lines
from workbench.tui.panes.preset.outline import branches, choices_of, entries, section_of_fault
from workbench.tui.panes.preset.pane import PresetPane
from workbench.tui.widgets.bar import StatusBar

TEXT = """\
# mine
description = "a \\u001b[31m red one"

[model]
base = "embedded:tiny"   # stays

[[data.source]]
path = "rows.txt"
format = "input-output"

[[train]]
name = "sft"
learning_rate = 1e-3     # high
"""
# In the place of the child that counts: as many GiB as the preset has steps beyond seven.
COUNTS = """
import json, sys, tomllib
steps = tomllib.loads(sys.stdin.read())["train"][0]["max_steps"] or 7
stage = {"steps": steps, "steps_per_epoch": 3, "tokens": 99, "validations": 1, "checkpoints": 2}
peak = (steps if steps > 7 else 1) << 30
stage |= {"seconds": 65, "tokens_per_second": 10.0, "as_in": "one"}
stage |= {"memory": {"peak": peak, "parts": {"weights": peak, "logits": 1}}}
device = {"name": "cpu", "total": 4 << 30, "free": 2 << 30}
rows = {"rows": 2, "train_rows": 1, "validation_rows": 1, "prompts": 0, "notes": ["n"]}
print(json.dumps(rows | {"device": device, "stages": {"sft": stage}}))
"""
FAKE_WORKER = (sys.executable, str(Path(__file__).parents[2] / "fake_worker.py"))
RATE = ("train", 0, "learning_rate")


@pytest.fixture
def preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launch, "WORKER", FAKE_WORKER)
    monkeypatch.setattr(dry_run, "ESTIMATE", (sys.executable, "-c", COUNTS))
    path = tmp_path / "mine.toml"
    path.write_text(TEXT)
    (tmp_path / "rows.txt").write_text("# INPUT\na\n# OUTPUT\nb\n# INPUT\nc\n# OUTPUT\nd\n")
    return path


def draft_of(path: Path) -> Draft:
    return Draft.open(str(path))


def put(draft: Draft, path: tuple[str | int, ...], typed: str) -> None:
    attempt = draft.attempt(path, typed)
    assert not attempt.refused, attempt.refused
    draft.change(attempt.text)


def test_every_value_is_taken_again_as_it_is_shown(preset: Path) -> None:
    draft = draft_of(preset)
    values = draft.now.values()
    seen = 0
    for branch in branches(draft):
        for entry in entries(draft, branch.path):
            attempt = draft.attempt(entry.path, entry.typed)
            assert not attempt.refused, entry.key
            after = Draft(preset, attempt.text).now.values()
            assert after == values, entry.key
            seen += 1
    assert seen == sum(not field.is_table for _, field, _ in leaves(draft.now.preset))
    assert seen > 60


def test_a_change_leaves_comments_and_order_and_can_be_undone(preset: Path) -> None:
    draft = draft_of(preset)
    put(draft, RATE, "2e-4")
    assert draft.text == TEXT.replace("1e-3", "0.0002")
    assert draft.changed() == [RATE] and draft.overrides() == ["train.0.learning_rate=0.0002"]
    draft.undo()
    assert draft.text == TEXT and not draft.dirty and not draft.changed()
    draft.redo()
    draft.save()
    assert preset.read_text() == draft.text and not draft.dirty


@pytest.mark.parametrize("typed", ["abc", "-1", "0", "", "[1]", "true", '"1"'])
def test_what_loading_refuses_is_refused_as_typed(preset: Path, typed: str) -> None:
    draft = draft_of(preset)
    assert draft.attempt(RATE, typed).refused
    with pytest.raises(Exception, match="learning_rate"):
        load(str(preset), [f"train.0.learning_rate={typed}"])


def test_what_does_not_go_with_another_key_is_told_and_taken(preset: Path) -> None:
    draft = draft_of(preset)
    attempt = draft.attempt(("model", "revision"), "v2")
    assert "no revisions" in attempt.told and not attempt.refused
    draft.change(attempt.text)
    assert "✗ line 6  model.revision: " in fault_lines(draft)[0].plain
    assert section_of_fault(draft.now.faults[0].path) == (("model",), ("model", "revision"))


def test_flags_of_a_draft_give_the_same_preset(preset: Path) -> None:
    draft = draft_of(preset)
    put(draft, RATE, "0.5")
    put(draft, ("data", "source", 1, "path"), "rows.txt")
    put(draft, ("generate", "stop"), '["<end>", "a=b"]')
    put(draft, ("data", "system"), '"two\\nlines"')
    assert load(str(preset), draft.overrides()).preset == draft.loaded().preset


def test_a_text_that_is_no_toml_says_so(preset: Path) -> None:
    draft = draft_of(preset)
    draft.change("[[[")
    assert draft.now.trouble and "invalid TOML" in fault_lines(draft)[0].plain
    draft.undo()
    assert draft.now.trouble is None


def test_a_key_that_is_gone_is_among_the_changes(preset: Path) -> None:
    draft = draft_of(preset)
    draft.change(TEXT.partition("[[train]]")[0])
    assert "* train.0.learning_rate: removed" in [line.plain for line in change_lines(draft)]


def test_words_while_a_value_is_typed(preset: Path) -> None:
    (entry,) = [e for e in entries(draft_of(preset), ("model",)) if e.field.key == "device"]
    assert choices_of(entry.field) == ["auto", "cuda", "mps", "cpu"]
    words = [line.plain for line in attempted("no such", "", entry, 40)]
    assert words[0] == "✗ no such" and "Press Up or Down to cycle through the" in words
    assert max(map(len, words)) <= 41


def test_editors_are_called_with_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    for set_one, words in (
        ("vim -n", ["vim", "-n", "+7", "a b"]),
        ("/usr/bin/code", ["/usr/bin/code", "--wait", "--goto", "a b:7"]),
        ("hx", ["hx", "a b:7"]),
    ):
        monkeypatch.setenv("EDITOR", set_one)
        assert terminal.command(Path("a b"), 7) == words


def in_form(
    preset: Path,
    story: Callable[[Pilot[None], WorkbenchApp, PresetPane], Awaitable[None]],
    size: tuple[int, int] = (80, 24),
) -> None:
    async def with_pane(pilot: Pilot[None], app: WorkbenchApp) -> None:
        app.memory.preset = str(preset)
        pane = await app.go("preset")
        assert isinstance(pane, PresetPane)
        await until(pilot, lambda: pane.draft is not None)
        await pilot.pause()
        await story(pilot, app, pane)

    on_screen(with_pane, size)


def learning_rate(pane: PresetPane) -> object:
    assert pane.draft is not None
    return pane.draft.now.values()[RATE]


def said(app: WorkbenchApp) -> str:
    return app.query_one(StatusBar).line


async def to_the_rate(pane: PresetPane, pilot: Pilot[None]) -> None:
    pane.go_to(RATE[:2], RATE)
    await pilot.pause()


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (160, 48)])
def test_a_value_is_typed_checked_and_taken(preset: Path, size: tuple[int, int]) -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: PresetPane) -> None:
        assert "u001b[31" in text_of(app)
        await to_the_rate(pane, pilot)
        assert "Peak learning rate" in text_of(app)
        await pilot.press("enter", "ctrl+u", "x")
        assert '✗ "x" is a string' in text_of(app)
        await pilot.press("enter")
        assert learning_rate(pane) == 1e-3 and pane.query_one("#typed", Input).has_focus
        await pilot.press("backspace", *"2e-4", "enter")
        assert learning_rate(pane) == 2e-4 and "1 change unsaved" in text_of(app)
        assert "* learning_rate" in text_of(app)
        await pilot.press("u")
        assert learning_rate(pane) == 1e-3 and "unsaved" not in text_of(app)
        await pilot.press("U", "w")
        assert tomllib.loads(preset.read_text())["train"][0]["learning_rate"] == 2e-4
        assert "# high" in preset.read_text()

    in_form(preset, story, size)


def test_escape_leaves_a_value_as_it_was_and_choices_turn(preset: Path) -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: PresetPane) -> None:
        pane.go_to(("model",), ("model", "device"))
        await pilot.press("enter", "down", "down")
        assert pane.query_one("#typed", Input).value == "mps"
        await pilot.press("escape")
        assert pane.draft and not pane.draft.dirty and pane.query_one("#fields").has_focus
        await pilot.press("enter", "up", "enter")
        assert pane.draft.now.preset.model.device == "cpu"
        await pilot.press("d")
        assert pane.draft.now.preset.model.device == "auto"
        assert "device" not in pane.draft.text, "its default holds because the key is removed"
        pane.go_to(("export",), ("export", "parity"))
        await pilot.press("enter")
        assert pane.draft.now.preset.export.parity is False

    in_form(preset, story)


def test_faults_are_listed_and_gone_to(preset: Path) -> None:
    preset.write_text(TEXT + "epochs = -1\nfrobnicate = 1\n")

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: PresetPane) -> None:
        assert "2 errors" in text_of(app)
        await pilot.press("n")
        assert pane.entry and pane.entry.key == "train.0.epochs"
        assert "-1 is out of range" in text_of(app)
        await pilot.press("f")
        assert "line 15  train.0.frobnicate: unknown key" in text_of(app)
        await pilot.press("r")
        assert "train.0.epochs" in text_of(app) and not list_runs(runs_root())

    in_form(preset, story)


def test_the_file_is_followed_but_never_over_changes(preset: Path) -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: PresetPane) -> None:
        preset.write_text(TEXT.replace("1e-3", "1e-4"))
        await until(pilot, lambda: learning_rate(pane) == 1e-4)
        await to_the_rate(pane, pilot)
        await pilot.press("enter", "ctrl+u", "1", "enter")
        preset.write_text(TEXT)
        await until(pilot, lambda: "has changed on disk" in text_of(app))
        assert learning_rate(pane) == 1
        await pilot.press("w")
        assert isinstance(app.screen, Confirm)
        await pilot.press("y")
        assert tomllib.loads(preset.read_text())["train"][0]["learning_rate"] == 1

    in_form(preset, story)


def test_the_editor_edits_the_file_or_a_copy_of_what_is_not_saved(
    preset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[int] = []

    def edit(app: object, path: Path, line: int) -> None:
        lines.append(line)
        path.write_text(path.read_text().replace("# mine", "# ours"))

    monkeypatch.setattr(terminal, "edit", edit)

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: PresetPane) -> None:
        await to_the_rate(pane, pilot)
        await pilot.press("enter", "ctrl+u", "1", "enter", "e")
        assert pane.draft and "# ours" in pane.draft.text and preset.read_text() == TEXT
        await pilot.press("u", "u", "e")
        assert "# ours" in preset.read_text() and pane.draft.text == preset.read_text()
        assert lines == [13, 13]

    in_form(preset, story)


def test_a_source_is_added_and_saved_under_another_name(preset: Path, tmp_path: Path) -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: PresetPane) -> None:
        await pilot.press("a", "enter", *"more.txt", "enter")
        assert pane.entry and pane.entry.key == "data.source.1.path"
        await pilot.press("W")
        assert isinstance(app.screen, Entry)
        app.screen.query_one(Input).value = "other"
        await pilot.press("enter")
        assert isinstance(app.screen, Entry)  # without .toml it is not taken
        app.screen.query_one(Input).value = "other.toml"
        await pilot.press("enter")
        saved = tomllib.loads((tmp_path / "other.toml").read_text())
        assert saved["data"]["source"][1] == {"path": "more.txt"} and preset.read_text() == TEXT

    in_form(preset, story)


def test_a_run_takes_the_changes_along_as_flags(preset: Path) -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: PresetPane) -> None:
        await to_the_rate(pane, pilot)
        await pilot.press("enter", "ctrl+u", "1", "enter", "r")
        await until(pilot, lambda: bool(list_runs(runs_root())) and app.current is not None)
        (run,) = list_runs(runs_root())
        assert load(str(run.preset_file)).preset.train[0].learning_rate == 1
        await until(pilot, lambda: "--set train.0.learning_rate=1" in said(app))
        assert preset.read_text() == TEXT
        launch.stop(run, limit_s=20)

    in_form(preset, story)


def test_the_estimate_comes_by_itself_and_again_after_a_change(preset: Path) -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: PresetPane) -> None:
        await until(pilot, lambda: "counting rows, steps and memory ..." in text_of(app))
        await until(pilot, lambda: "7 steps  about 1:05  1.0 GiB of 2.0 GiB free" in text_of(app))
        await pilot.press("p")
        await until(pilot, lambda: "sft  7 steps, 3 per epoch" in text_of(app))
        assert said(app) == f"workbench --preset {preset} --dry-run"
        put(pane.draft, ("train", 0, "max_steps"), "99")  # type: ignore[arg-type]
        await until(pilot, lambda: "99 steps" in text_of(app))
        pane.action_undo()
        await pilot.pause(0.3)
        assert "7 steps  about 1:05" in text_of(app), "an undo need not be counted again"

    in_form(preset, story)


def test_a_change_ends_the_child_that_counts(preset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run, "ESTIMATE", (sys.executable, "-c", "import time; time.sleep(600)"))
    monkeypatch.setattr(dry_run_model, "REST_S", 0.0)

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: PresetPane) -> None:
        await until(pilot, lambda: pane._child is not None)
        child = pane._child
        assert child is not None
        put(pane.draft, RATE, "2e-4")  # type: ignore[arg-type]
        await until(pilot, lambda: child._process.returncode is not None)
        assert "counting the data failed" not in text_of(app)
        await until(pilot, lambda: pane._child is not None)

    in_form(preset, story)


def test_what_is_wrong_with_the_data_stands_in_the_place_of_the_estimate(
    preset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import sys; print('rows.txt:3: no answer', file=sys.stderr); sys.exit(2)"
    monkeypatch.setattr(dry_run, "ESTIMATE", (sys.executable, "-c", code))

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: PresetPane) -> None:
        await until(pilot, lambda: "rows.txt:3: no answer" in text_of(app))
        put(pane.draft, ("model", "revision"), "v2")  # type: ignore[arg-type]
        await until(pilot, lambda: "Fix the errors to see steps, time and memory." in text_of(app))

    in_form(preset, story)


def test_more_memory_than_is_free_is_red(preset: Path) -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: PresetPane) -> None:
        put(pane.draft, ("train", 0, "max_steps"), "1000")  # type: ignore[arg-type]
        await until(pilot, lambda: "1000.0 GiB of 2.0 GiB free" in text_of(app))
        assert "red" in str(pane.summary.spans[0].style)
        assert any("MORE THAN the 2.0 GiB" in line.plain for line in pane.plan)

    in_form(preset, story)


def test_large_data_are_counted_when_asked_for(
    preset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dry_run_model, "LARGE_BYTES", 10)

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: PresetPane) -> None:
        await until(pilot, lambda: "Large dataset: press p to count" in text_of(app))
        await pilot.press("p")
        await until(pilot, lambda: "sft  7 steps, 3 per epoch" in text_of(app))

    in_form(preset, story)
