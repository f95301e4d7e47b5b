"""The app: the frame around the panes, which of them are in view, and the poll of the runs.

It holds no run: closing it, killing it or losing the line costs nothing. Panes do the rest.
"""

from __future__ import annotations

import gc
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.dom import DOMNode

from workbench import __version__
from workbench.core.errors import WorkbenchError
from workbench.core.paths import state_folder
from workbench.run.folder import RunFolder, runs_root
from workbench.tui import crash_report, saved_state
from workbench.tui.actions import EVERYWHERE, Action, bindings
from workbench.tui.key_queue import OrderedKeysApp
from workbench.tui.pane import Pane
from workbench.tui.pane_list import PANES, spec
from workbench.tui.runs.controller import RunController
from workbench.tui.runs.follower import RunFollower
from workbench.tui.runs.watcher import RunWatcher
from workbench.tui.widgets.bar import Level, StatusBar
from workbench.tui.widgets.key_footer import KeyFooter
from workbench.tui.widgets.pane_tabs import PaneTabs

if TYPE_CHECKING:
    from textual.command import Provider
    from textual.theme import Theme

POLL_S = 0.2
BESIDE_WIDTH = 120
ROOMY_WIDTH = 150


def _commands() -> type[Provider]:
    """The palette's commands, imported when it is opened."""
    from workbench.tui.palette import Commands

    return Commands


class WorkbenchApp(OrderedKeysApp, inherit_bindings=False):
    """`current` is the run that Train and others show; `pinned` runs are drawn with it."""

    CSS_PATH = "workbench.tcss"
    TITLE = "workbench"
    BINDINGS: ClassVar[list[BindingType]] = bindings(EVERYWHERE) + [
        Binding(spec.key, f"go('{spec.id}')", spec.title, show=False) for spec in PANES
    ]
    COMMANDS = {_commands}  # noqa: RUF012 - Textual's own shape

    def __init__(self, root: Path | None = None, state: Path | None = None) -> None:
        super().__init__()
        self.state_folder = state or state_folder()
        self.memory = saved_state.load_state(self.state_folder)
        self.watching = RunWatcher((root or runs_root()).absolute())
        self.current: RunFolder | None = None
        self.pinned: list[RunFolder] = []
        self.own_keys: dict[str, str] = {}
        self.faults: list[Exception] = []
        self.pane_id = ""
        self.zoomed = self.memory.zoomed
        self.steer = RunController(self)
        self._polling = False

    def compose(self) -> ComposeResult:
        yield PaneTabs("tabs")
        yield Horizontal(id="body")
        yield StatusBar("status")
        yield KeyFooter("keys")

    async def on_mount(self) -> None:
        self.animation_level = "none"
        self.theme = self._given_theme = self._theme()
        self.theme_changed_signal.subscribe(self, self._theme_chosen)
        self.poll()
        self._choose_first_run()
        known = {spec.id for spec in PANES}
        await self.go(self.memory.pane if self.memory.pane in known else PANES[0].id)
        self.set_interval(POLL_S, self.poll)
        self.call_after_refresh(self._settle)

    # Panes

    async def go(self, pane_id: str) -> Pane:
        """Show a pane and give it the focus."""
        pane = await self.made(pane_id)
        if not (pane.has_class("-shown") and not self.zoomed):
            self.pane_id = pane_id
            await self._arrange()
        self.pane_id = pane_id
        self._remember(pane=pane_id)
        if not pane.has_focus_within:
            pane.focus_first()
        self._draw_tabs()
        return pane

    async def made(self, pane_id: str) -> Pane:
        """The pane's widget, made at its first use."""
        found = self.query(f"#pane-{pane_id}")
        if found:
            return cast(Pane, found.first())
        pane = spec(pane_id).load()(id=f"pane-{pane_id}")
        later = [other.id for other in PANES if other.key > spec(pane_id).key]
        after = [self.query(f"#pane-{other}") for other in later]
        before = next((query.first() for query in after if query), None)
        await self.query_one("#body").mount(pane, before=before)
        pane.run_chosen()
        return pane

    def panes_in_view(self) -> list[Pane]:
        """The panes that can be seen at the moment."""
        return [pane for pane in self.query(Pane) if pane.is_mounted and pane.has_class("-shown")]

    def pane_ids_in_view(self) -> list[str]:
        """Their ids, as `go` takes them."""
        return [pane.ID for pane in self.panes_in_view()]

    async def _arrange(self) -> None:
        """Show the current pane, and on a wide screen the one that belongs beside it."""
        beside = "" if self.zoomed or self.size.width < BESIDE_WIDTH else spec(self.pane_id).beside
        if beside:
            await self.made(beside)
        body = self.query_one("#body")
        body.set_class(bool(beside), "-beside")
        body.set_class(self.size.width >= ROOMY_WIDTH, "-roomy")
        for pane in self.query(Pane):
            shown = pane.ID in (self.pane_id, beside)
            if shown and not pane.has_class("-shown"):
                pane.run_chosen()
            pane.set_class(shown, "-shown")
        self._draw_tabs()

    def on_resize(self, event: events.Resize) -> None:
        if self.pane_id:
            self.call_later(self._arrange)  # once the app itself knows its new size

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        if getattr(event.widget, "cursor_blink", False):  # of an input: it would write all the time
            event.widget.cursor_blink = False  # type: ignore[attr-defined]
        for pane in self.panes_in_view():
            if pane.has_focus_within:
                self.pane_id = pane.ID
        self._draw_tabs()

    async def on_pane_tabs_pressed(self, message: PaneTabs.Pressed) -> None:
        await self.go(message.pane_id)

    def _draw_tabs(self) -> None:
        at_work = sum(self.watching.glance(run).standing == "running" for run in self.watching.runs)
        aside = f"{at_work} running" if at_work else f"workbench {__version__}"
        shown = set(self.pane_ids_in_view())
        self.query_one(PaneTabs).tell(shown, self.pane_id, aside)

    # Runs

    def poll(self) -> None:
        """Read all watched logs in one go, and tell the panes in view what changed."""
        if not self.is_running:
            return
        wanted = {run.path for run in self.pinned}
        self.watching.want(wanted | ({self.current.path} if self.current else set()))
        changed = self.watching.poll()
        if self.watching.behind and not self._polling:
            self._polling = True
            self.set_timer(0.001, self._poll_on)
        panes = self.panes_in_view()
        for pane in panes:
            if changed:
                pane.runs_changed(changed)
            pane.ticked()
        if changed:
            self._draw_tabs()
            self.refresh_bindings()
        self.steer.reap()

    def _poll_on(self) -> None:
        """Go on with a long log at once, after the keys that came meanwhile."""
        self._polling = False
        self.poll()

    def choose(self, run: RunFolder | None) -> None:
        """Make a run the current one."""
        if run == self.current:
            return
        self.current = run
        self._remember(run=str(run.path) if run else "")
        self.poll()
        self.current_changed()

    def current_changed(self) -> None:
        """Tell the panes in view: another run is current, or others are pinned."""
        for pane in self.panes_in_view():
            pane.run_chosen()
        self.refresh_bindings()

    def forget(self, run: RunFolder) -> None:
        """The run's folder is gone or has another name."""
        if run in self.pinned:
            self.pinned.remove(run)
        if run == self.current:
            self.current = None
        self.watching.list_again()

    def followed(self, run: RunFolder) -> RunFollower:
        """State and curves of a run."""
        return self.watching.followed(run.path)

    def _choose_first_run(self) -> None:
        """The run at work, or the one of last time, or the newest."""
        runs = self.watching.runs
        ranked = sorted(runs, key=lambda run: self.watching.glance(run).standing != "running")
        last = [run for run in runs if str(run.path) == self.memory.run]
        busy = [run for run in ranked[:1] if self.watching.glance(run).standing == "running"]
        here = {str(run.path): run for run in runs}
        self.pinned = [here[path] for path in self.memory.pinned if path in here]
        self.choose(next(iter([*busy, *last, *runs]), None))

    # Words

    @property
    def status(self) -> StatusBar:
        """The line of words; its `line` is the last one said."""
        return self.query_one(StatusBar)

    def say(self, line: str, level: Level = "info") -> None:
        """A line in the status bar."""
        self.status.say(line, level)

    def say_command(self, *words: str) -> None:
        """The command line that does what was just done, quoted for a shell."""
        self.say(shlex.join(["workbench", *words]), "command")

    def say_error(self, error: Exception) -> None:
        """One line for an error; one that is our own fault leaves its traceback in a file."""
        if isinstance(error, (WorkbenchError, OSError)):
            self.say(str(error), "error")
            return
        self.faults.append(error)
        path = crash_report.save(error, self.state_folder)
        fault = crash_report.redacted(repr(error))
        self.say(f"internal error: {fault} (details in {path})", "error")

    async def run_action(
        self, action: Any, default_namespace: DOMNode | None = None, namespaces: Any = None
    ) -> bool:
        """As Textual's, but an error becomes a line in the status bar."""
        try:
            return await super().run_action(action, default_namespace, namespaces)
        except Exception as error:  # noqa: BLE001 - the one seam for all actions
            self.say_error(error)
            return True

    def guarded(self, work: Callable[[], object]) -> None:
        """Do `work`, for the answers of dialogs; an error becomes a line in the status bar."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - told to the person
            self.say_error(error)

    def in_background(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Run `work` in a thread; give its result to `then`, or its error to the status bar."""

        def run() -> None:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - told to the person
                self.call_from_thread(self.say_error, error)
            else:
                self.call_from_thread(self.guarded, lambda: then(result))

        self.run_worker(run, thread=True, group="background", exit_on_error=False)

    def _fatal_error(self) -> None:
        """A fault outside any action: leave; `main` tells it, without values of variables."""
        self._close_messages_no_wait()

    # Actions

    async def action_go(self, pane_id: str) -> None:
        await self.go(pane_id)

    async def invoke(self, action: Action) -> None:
        """Run an action from the palette: in its pane, which is shown first."""
        if action.pane in {spec.id for spec in PANES}:
            pane = await self.go(action.pane)
            if not pane.allows(action.name):
                self.say(f"{action.title} is not available now. {action.help}", "warning")
                return
            await self.run_action(action.name, pane)
        else:
            await self.run_action(action.name, self)

    def action_help(self) -> None:
        from workbench.tui.dialogs.help import Help

        kind = spec(self.pane_id).load()
        self.push_screen(Help(spec(self.pane_id).title, kind.HELP, kind.ACTIONS, self.own_keys))

    async def action_zoom(self) -> None:
        self.zoomed = not self.zoomed
        await self._arrange()

    def action_copy(self) -> None:
        focused = next((pane for pane in self.panes_in_view() if pane.ID == self.pane_id), None)
        self.copy(*(focused.copied() if focused else ("", "")))

    def copy(self, text: str, what: str) -> None:
        """Put the text into the clipboard; say in which way, and where it is besides."""
        from workbench.tui.clipboard import copy

        self.say(copy(self, text, what, self.state_folder) if text else "nothing to copy here")

    def action_messages(self) -> None:
        from workbench.tui.dialogs.messages import Messages

        self.push_screen(Messages(self.status.said))

    def action_debug(self) -> None:
        from workbench.tui.dialogs.debug import Debug

        self.push_screen(Debug())

    def action_picture(self) -> None:
        self.state_folder.mkdir(parents=True, exist_ok=True)
        path = self.save_screenshot(path=str(self.state_folder))
        self.say(f"saved {path}")

    async def action_quit(self) -> None:
        self.exit()

    def action_how_to_leave(self) -> None:
        self.say("press q to quit; runs keep running")

    # Memory

    def _theme(self) -> str:
        from workbench.tui.themes import choose

        return choose(self, self.memory.theme)

    def _theme_chosen(self, theme: Theme) -> None:
        """Keep a theme that the person has chosen, not what this terminal made us take."""
        if theme.name != self._given_theme:
            self._given_theme = ""
            self._remember(theme=theme.name)

    def _remember(self, **given: Any) -> None:
        for name, value in given.items():
            setattr(self.memory, name, value)

    def _settle(self) -> None:
        """After the first picture: what could wait for it."""
        if not gc.isenabled():
            gc.freeze()  # what is here stays: collecting never has to go through it
            gc.enable()
        self._read_keys()

    def _read_keys(self) -> None:
        from workbench.tui.keymap import read_keymap

        try:
            self.own_keys = read_keymap(saved_state.keymap_file())
        except WorkbenchError as error:
            self.say_error(error)
        if self.own_keys:
            self.set_keymap(self.own_keys)

    def on_unmount(self) -> None:
        self.steer.let_go()
        self.keep()

    def keep(self) -> None:
        """Write down what the next screen shall know."""
        self._remember(zoomed=self.zoomed, pinned=[str(run.path) for run in self.pinned])
        saved_state.save_state(self.state_folder, self.memory)


def main() -> int:
    """Run the screen on this terminal; the exit status."""
    from workbench.tui.terminal import guarded

    app = WorkbenchApp()
    with guarded(app, app.state_folder, app.keep):
        app.run()
    if app._exception is not None:
        print(crash_report.farewell(app._exception, app.state_folder), file=sys.stderr)
    return app.return_code or 0
