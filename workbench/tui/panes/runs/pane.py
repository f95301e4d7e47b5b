"""All runs: how they stand, and what can be done with one."""

from __future__ import annotations

import shlex
from collections.abc import Set
from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult

from workbench.core.text import one_line
from workbench.reports import status_text
from workbench.run.folder import RunFolder
from workbench.run.state import RunState
from workbench.tui.actions import Action
from workbench.tui.pane import Pane
from workbench.tui.panes.runs.run_table import RunTable
from workbench.tui.runs import controller
from workbench.tui.widgets.bar import Bar
from workbench.tui.widgets.row_list import TextLines, wrapped

MAX_PINNED = 3
EMPTY_PADDING = 6  # of an empty list's words, with room for a scrollbar
EMPTY = (
    "No runs yet.",
    "",
    "n  Start a run from a preset; `quickstart` takes minutes on a laptop.",
    "?  Show all keys.",
)


class RunsPane(Pane):
    """The list of runs; the one under the cursor is the current one."""

    ID = "runs"
    HELP = (
        "All runs in the runs folder, newest first. The run under the cursor is the current run, "
        "shown in Train. Pinned runs are overlaid on its curves, and c compares them with it in a "
        "table."
    )
    ACTIONS = (
        Action("runs.open", "enter", "Open", "Show the run's curves in Train."),
        Action("runs.new", "n", "New", "Start a run from a preset."),
        Action("runs.stop", "s", "Stop", "Stop at the next safe point; save a checkpoint."),
        Action("runs.resume", "r", "Resume", "Resume the run where it stopped."),
        Action("runs.pin", "p", "Pin", "Overlay this run on the current run's curves."),
        Action("runs.compare", "c", "Compare", "Compare the current run with pinned runs."),
        Action("runs.find", "slash", "Filter", "Show only runs whose name contains a text."),
        Action("runs.rename", "R,f2", "Rename", "Rename the run."),
        Action("runs.delete", "d,delete", "Delete", "Delete the run and its files (asks first)."),
        Action("runs.kill", "K", "Terminate", "Terminate the worker without waiting.", False),
    )
    DEFAULT_CSS = """
    RunsPane #heads { color: $text-muted; }
    RunsPane #story { height: auto; max-height: 40%; border-top: solid $panel; }
    RunsPane.-empty #heads, RunsPane.-empty RunTable { display: none; }
    RunsPane.-empty #story { border-top: none; max-height: 100%; padding: 1 2; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.part = ""

    def compose(self) -> ComposeResult:
        yield Bar("heads")
        yield RunTable()
        yield TextLines(id="story")

    def on_mount(self) -> None:
        self._list()

    def on_resize(self) -> None:
        """The titles and the story are laid out for the width."""
        self.query_one("#heads", Bar).show(Text(f" {self._rows.heads()}"))
        room = self.size.width - (2 if self.screen_app.watching.runs else EMPTY_PADDING)
        lines = wrapped(self._story(), room) if self.size.width else []
        self.query_one("#story", TextLines).tell(lines)

    def run_chosen(self) -> None:
        if self.is_mounted:
            self._list()

    def runs_changed(self, changed: Set[Path]) -> None:
        self._list()

    def ticked(self) -> None:
        self._rows.tick()

    def allows(self, name: str) -> bool:
        run = self.screen_app.current
        if name in ("new", "find") or run is None:
            return name in ("new", "find")
        if name == "compare":
            return len(self._compared(run)) > 1
        at_work = self.screen_app.watching.at_work(run)
        busy, idle = ("stop", "kill"), ("resume", "rename", "delete")
        return at_work if name in busy else not at_work if name in idle else True

    def copied(self) -> tuple[str, str]:
        run = self.screen_app.current
        return (str(run.path), "the run folder") if run else ("", "")

    def on_row_list_moved(self, message: RunTable.Moved) -> None:
        if message.rows is self._rows and message.index < len(self._rows.runs):
            self.screen_app.choose(self._rows.runs[message.index])

    async def on_row_list_chosen(self) -> None:
        await self.action_open()

    async def action_open(self) -> None:
        await self.screen_app.go("train")

    def action_new(self) -> None:
        self.screen_app.steer.new_run()

    def action_stop(self) -> None:
        self.screen_app.steer.stop(self._current)

    def action_resume(self) -> None:
        self.screen_app.steer.resume(self._current)

    def action_kill(self) -> None:
        self.screen_app.steer.kill(self._current)

    def action_pin(self) -> None:
        pinned, run = self.screen_app.pinned, self._current
        if run in pinned:
            pinned.remove(run)
        elif len(pinned) == MAX_PINNED:
            self.say(f"{MAX_PINNED} runs are already pinned; press p on one of them to unpin it")
        else:
            pinned.append(run)
        self.screen_app.poll()
        self.screen_app.current_changed()

    def action_compare(self) -> None:
        from workbench.tui.dialogs.comparison import Compare

        runs = self._compared(self._current)
        self.screen_app.say_command("runs", *(run.name for run in runs))
        self.app.push_screen(Compare(runs))

    def action_find(self) -> None:
        from workbench.tui.dialogs.dialog import Entry

        self.app.push_screen(
            Entry("Show runs whose name contains (empty: all)", self.part), self._find
        )

    def action_rename(self) -> None:
        from workbench.tui.dialogs.dialog import Entry

        run = self._current

        def check(name: str) -> str:
            return controller.name_fault(name, run)

        def then(name: str | None) -> None:
            if name and name != run.name:
                self.screen_app.guarded(lambda: self._renamed(run, name))

        self.app.push_screen(Entry(f"New name for {run.name}", run.name, check), then)

    def action_delete(self) -> None:
        from workbench.tui.dialogs.dialog import Confirm

        run = self._current

        def then(yes: bool | None) -> None:
            if yes:
                self.screen_app.guarded(lambda: self._deleted(run))

        details = f"This deletes {run.path} with its checkpoints and exports. It cannot be undone."
        self.app.push_screen(Confirm(f"Delete the run {run.name}?", details), then)

    @property
    def _rows(self) -> RunTable:
        return self.query_one(RunTable)

    @property
    def _current(self) -> RunFolder:
        assert self.screen_app.current is not None, "allows() let it through without a run"
        return self.screen_app.current

    def _compared(self, run: RunFolder) -> list[RunFolder]:
        """The current run, then the pinned ones."""
        return [run, *(other for other in self.screen_app.pinned if other != run)]

    def _find(self, part: str | None) -> None:
        if part is not None:
            self.part = part.strip()
            self._list()

    def _renamed(self, run: RunFolder, name: str) -> None:
        renamed = controller.rename(run, name)
        self.screen_app.forget(run)
        self.screen_app.poll()
        self.screen_app.choose(renamed)
        self.screen_app.say(shlex.join(["mv", str(run.path), str(renamed.path)]), "command")

    def _deleted(self, run: RunFolder) -> None:
        controller.delete(run)
        self.screen_app.forget(run)
        self.screen_app.poll()
        self._list()
        self.screen_app.say(shlex.join(["rm", "-r", str(run.path)]), "command")

    def _list(self) -> None:
        app, rows = self.screen_app, self._rows
        wanted = self.part.lower()
        runs = [run for run in app.watching.runs if wanted in run.name.lower()]
        rows.pinned = app.pinned
        rows.show(app.watching, runs)
        if app.current in runs:
            rows.cursor = runs.index(app.current)
        elif runs:
            app.choose(runs[min(rows.cursor, len(runs) - 1)])
        self.set_class(not runs, "-empty")
        self.on_resize()
        self.refresh_bindings()

    def _story(self) -> list[Text]:
        app = self.screen_app
        if not app.watching.runs:
            return [Text(line) for line in EMPTY]
        if app.current is None or not self._rows.runs:
            return [Text(f"No run name contains '{one_line(self.part)}'; press / to change it.")]
        followed = app.followed(app.current)
        return story(app.current, followed.state, followed.at_work)


def story(run: RunFolder, state: RunState, at_work: bool) -> list[Text]:
    """The run in a few lines: its stages, what went wrong, how to go on."""
    lines = [
        Text(status_text.finished_text(stage, state))
        for stage in state.stages.values()
        if stage.status == "done"
    ]
    current = state.stages.get(state.stage)
    if current and current.status == "running":
        phrase = status_text.running_text(current)
        mark = "▶" if at_work else "✗"
        text = f"{mark} {status_text.label(current.name):{status_text.NAME_WIDTH}} {phrase.text}"
        lines.append(Text(f"{text}  {phrase.left if at_work else ''}"))
    if state.error and not at_work:
        lines.append(Text(f"✗ {one_line(state.error, 300)}", "red"))
    if not at_work and state.status in ("running", "failed", "stopped", "waiting"):
        died = "the worker died; " if state.status == "running" else ""
        lines.append(Text(f"  {died}press r to resume: workbench resume {run.name}", "dim"))
    if state.status == "done":
        lines.append(Text(f"  chat with it: workbench chat {run.name}", "dim"))
    return lines
