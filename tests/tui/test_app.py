"""The frame: panes, palette, help, words, memory; and that no fault of ours brings it down."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.command import CommandPalette
from textual.pilot import Pilot

from tests.tui.helpers import HOSTILE, finished_run, on_screen, text_of, three_runs, until
from workbench.core.errors import UserError
from workbench.tui import crash_report
from workbench.tui.app import WorkbenchApp
from workbench.tui.dialogs.debug import Debug, facts
from workbench.tui.dialogs.help import Help
from workbench.tui.saved_state import SavedState, keymap_file, load_state, save_state


def test_from_nothing_the_screen_says_what_to_do_next() -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        assert "No runs yet." in text_of(app) and "n  Start a run from a preset" in text_of(app)
        await pilot.press("4")
        assert "No run selected. Press 1 for the list of runs" in text_of(app)

    on_screen(story)


def test_panes_by_number_one_at_a_time_on_a_small_screen() -> None:
    three_runs()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        assert [pane.ID for pane in app.panes_in_view()] == ["runs"]
        await pilot.press("4")
        assert [pane.ID for pane in app.panes_in_view()] == ["train"]

    on_screen(story)


def test_a_wide_screen_shows_two_and_zoom_one_of_them() -> None:
    three_runs()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        assert [pane.ID for pane in app.panes_in_view()] == ["runs", "train"]
        await pilot.press("4", "z")
        assert [pane.ID for pane in app.panes_in_view()] == ["train"]
        await pilot.press("z")
        assert len(app.panes_in_view()) == 2 and app.pane_id == "train"
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: len(app.panes_in_view()) == 1)
        assert [pane.ID for pane in app.panes_in_view()] == ["train"]

    on_screen(story, (160, 48))


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 40), (200, 60)])
def test_no_line_is_wider_than_the_screen(size: tuple[int, int]) -> None:
    three_runs()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        for key in ("1", "4"):
            await pilot.press(key)
            lines = text_of(app).split("\n")
            assert len(lines) == size[1] and max(map(len, lines)) <= size[0]
            assert "? Help" in lines[-1]

    on_screen(story, size)


def test_a_click_on_a_title_goes_there() -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.click("#tabs", offset=(text_of(app).split("\n")[0].index("Train"), 0))
        await pilot.pause()
        assert app.pane_id == "train"

    on_screen(story)


def test_a_click_on_a_key_of_the_footer_presses_it() -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.click("#keys", offset=(text_of(app).split("\n")[-1].index("? Help"), 0))
        await pilot.pause()
        assert isinstance(app.screen, Help)

    on_screen(story)


def test_the_footer_shows_only_what_is_valid_now() -> None:
    three_runs()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        footer = text_of(app).split("\n")[-1]
        assert "r Resume" in footer and "s Stop" not in footer

    on_screen(story)


def test_help_opens_and_leaves() -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("question_mark")
        assert isinstance(app.screen, Help)
        await pilot.press("escape")
        assert not isinstance(app.screen, Help)

    on_screen(story)


def test_the_palette_runs_an_action_of_another_pane() -> None:
    three_runs()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("ctrl+p")
        await pilot.pause()
        assert CommandPalette.is_open(app)
        await pilot.press(*"smoother")
        await pilot.pause(0.4)
        await pilot.press("enter")
        await pilot.pause(0.2)
        if CommandPalette.is_open(app):
            await pilot.press("enter")
            await pilot.pause(0.2)
        assert app.pane_id == "train" and app.memory.smoothing == 0.8

    on_screen(story)


def test_an_action_that_is_not_possible_is_said_to_be() -> None:
    three_runs()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        from workbench.tui.panes.runs.pane import RunsPane

        stop = next(action for action in RunsPane.ACTIONS if action.id == "runs.stop")
        await app.invoke(stop)
        assert "is not available now" in app.status.line

    on_screen(story)


def test_an_error_is_one_line_and_not_markup() -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        def fail() -> None:
            raise UserError(f"it is {HOSTILE}\nnot so", path="a.txt", line=3)

        app.guarded(fail)
        await pilot.pause()
        assert "a.txt:3: it is \\x1b]0;owned\\x07[bold red]x[/] \\u202e not so" in text_of(app)

    on_screen(story)


def test_a_fault_of_our_own_leaves_a_report_and_the_screen_goes_on() -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        secret = "hf_secret"

        def fail() -> None:
            assert secret
            raise ZeroDivisionError("bug")

        app.guarded(fail)
        await pilot.pause()
        assert "internal error: " in app.status.line
        reports = list(app.state_folder.glob("crash-*.txt"))
        assert len(reports) == 1
        text = reports[0].read_text()
        assert "ZeroDivisionError" in text and secret not in text
        app.faults.clear()

    on_screen(story)


def test_the_farewell_is_one_line(tmp_path: Path) -> None:
    text = crash_report.farewell(ValueError("x\ny"), tmp_path / "there")
    assert "runs keep running" in text and "\n" not in text


def test_a_report_holds_no_secret_and_no_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("MY_API_KEY", "correct horse")
    fault = OSError("/home/somebody/x: hf_abcdefghijk and correct horse, not sk-1")
    text = crash_report.report(fault) + crash_report.farewell(fault, tmp_path)
    assert "~/x: hf_<redacted> and <MY_API_KEY>, not sk-1" in text
    assert not any(word in text for word in ("somebody", "abcdefghijk", "horse"))


def test_work_in_the_background_gives_its_result_or_its_error() -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        results: list[int] = []

        def fail() -> int:
            raise UserError("not today")

        app.in_background(lambda: 42, results.append)
        app.in_background(fail, results.append)
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert results == [42] and app.status.line == "not today"

    on_screen(story)


def test_copy_says_where_the_text_is() -> None:
    run = finished_run()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("y")
        assert app.clipboard == str(run.path)
        assert (app.state_folder / "clipboard.txt").read_text() == str(run.path)
        assert "OSC 52" in app.status.line and "clipboard.txt" in app.status.line

    on_screen(story)


def test_debug_facts_hold_no_names() -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("f12")
        assert isinstance(app.screen, Debug)
        assert "80x24" in "\n".join(facts(app)) and str(app.state_folder) not in "\n".join(
            facts(app)
        )
        await pilot.press("y")
        assert "Textual" in app.clipboard
        await pilot.press("escape")

    on_screen(story)


def test_a_picture_of_the_screen() -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("f9")
        await pilot.pause()
        assert [path.suffix for path in app.state_folder.glob("*.svg")] == [".svg"]

    on_screen(story)


def test_themes_are_remembered_and_the_last_place_too() -> None:
    runs = three_runs()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        app.theme = "workbench-light"
        app.choose(runs[0])
        await pilot.press("4", "l", "right_square_bracket")

    app = on_screen(story)
    found = load_state(app.state_folder)
    assert found == SavedState("workbench-light", "train", str(runs[0].path), 0.8, True)
    assert not found.zoomed and found.pinned == []

    async def again(pilot: Pilot[None], app: WorkbenchApp) -> None:
        assert (app.theme, app.pane_id, app.current) == ("workbench-light", "train", runs[0])

    on_screen(again)


def test_pinned_runs_and_the_zoom_are_remembered() -> None:
    runs = three_runs()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("p", "j", "j", "p", "z")
        assert app.pinned == [runs[2], runs[0]]

    on_screen(story, (160, 48))

    async def again(pilot: Pilot[None], app: WorkbenchApp) -> None:
        assert app.pinned == [runs[2], runs[0]] and len(app.panes_in_view()) == 1

    on_screen(again, (160, 48))


def test_a_long_line_takes_the_rows_it_needs_for_as_long_as_it_stands() -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        app.say("so " * 30 + "the end")
        await pilot.pause()
        assert app.status.size.height == 2 and "the end" in text_of(app)
        app.say("word " * 500)
        await pilot.pause()
        assert app.status.size.height == 4 and "…" in text_of(app).split("\n")[-2]
        await pilot.resize_terminal(200, 60)
        await until(pilot, lambda: app.status.size.height == 4)
        app.say("short")
        await pilot.pause()
        assert app.status.size.height == 1

    on_screen(story)


def test_all_that_was_said_can_be_read_and_copied() -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        app.say_command("--preset", "quickstart", "--set", "description=two words")
        app.say_error(UserError("it is so " + "and so " * 30))
        await pilot.press("M")
        text = text_of(app)
        assert text.index("✗ it is so") < text.index("$ workbench --preset quickstart")
        await pilot.press("j", "y")
        assert app.clipboard == "workbench --preset quickstart --set 'description=two words'"
        await pilot.press("escape")
        assert "the line: sent" in app.status.line

    on_screen(story)


def test_without_a_word_said_there_are_no_messages() -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("M", "y")
        assert "no messages yet" in text_of(app) and "nothing to copy" in app.status.line

    on_screen(story)


def test_the_theme_key_offers_the_themes() -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("ctrl+t")
        await pilot.pause()
        assert CommandPalette.is_open(app)

    on_screen(story)


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"theme": 7, "pane": "nowhere"}'])
def test_a_damaged_memory_means_the_defaults(tmp_path: Path, text: str) -> None:
    (tmp_path / "screen.json").write_text(text)
    assert load_state(tmp_path).theme == ""
    save_state(tmp_path / "file" / "below", SavedState())
    (tmp_path / "plain").write_text("")
    save_state(tmp_path / "plain" / "below", SavedState())


def test_few_colours_get_the_plain_theme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "linux")
    monkeypatch.delenv("COLORTERM")

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        assert app.theme == "ansi-dark"

    app = on_screen(story)
    assert load_state(app.state_folder).theme == "", "nobody has chosen it"


def test_a_faulty_keymap_is_told_of_at_the_start() -> None:
    keymap_file().parent.mkdir(parents=True)
    keymap_file().write_text('"app.hepl" = "f3"\n')

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.pause()
        assert "did you mean 'app.help'?" in app.status.line

    on_screen(story)


def test_quit_and_how_to_leave() -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.press("ctrl+c")
        assert "press q to quit" in app.status.line
        await pilot.press("q")
        await pilot.pause()
        assert not app.is_running or app._exit

    on_screen(story)
