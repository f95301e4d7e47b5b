"""Talk to a model of a run, alone or beside another; put an answer right and keep it as a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.timer import Timer

from workbench.errors import UserError
from workbench.text import one_line
from workbench.tui.actions import Action
from workbench.tui.chatting.keeping import KeepingPane, settings_of_model
from workbench.tui.chatting.models import (
    Model,
    all_models,
    base_of,
    file_model,
    first_model,
    models_of,
)
from workbench.tui.chatting.side import Side
from workbench.tui.chatting.thread import ChatThread
from workbench.tui.chatting.words import Lines, read_sampling, sampling_words, title
from workbench.tui.widgets.bar import Bar
from workbench.tui.widgets.prompt import Prompt
from workbench.tui.widgets.textlines import TextLines

DRAW_EVERY_S = 0.06
LEAVE_LIMIT_S = 2.0
A_FILE = "a file ..."
EMPTY = (
    "No model is open.",
    "",
    "Enter  opens the model of the current run (Runs shows which).",
    "m      chooses any model of any run, or a file.",
    "b      puts the base beside it: the same prompt goes to both.",
)


class ChatPane(KeepingPane):
    """One side or two; the models are loaded in this process, in a thread of their own."""

    ID = "chat"
    HELP = (
        "Talk to the models of your runs. Enter sends, a backslash at the end of a line goes on "
        "in the next; Esc stops an answer at once, or leaves the line so that letters are keys. "
        "With a second model the same prompt goes to both, one after the other."
    )
    ACTIONS = (
        Action("chat.write", "enter,i", "Write", "Open the run's model, then type a message."),
        Action("chat.escape", "escape", "Stop", "Stop the answer; else leave the line."),
        Action("chat.models", "m,f2", "Model", "Choose the model to talk to."),
        Action("chat.compare", "b,f3", "A/B", "Put a second model beside it, or take it away."),
        Action("chat.correct", "c,ctrl+o", "Correct", "Put the answer right; keep it as a row."),
        Action("chat.again", "r,ctrl+r", "Again", "Ask the last question again, another seed."),
        Action("chat.system", "s,f4", "System", "Change the system prompt."),
        Action("chat.sampling", "p,f5", "Sampling", "Temperature and the other settings."),
        Action("chat.change", "E,ctrl+g", "Edit", "Take the last question back to edit it.", False),
        Action("chat.new", "n,ctrl+n", "New", "Forget what was said.", False),
        Action("chat.save", "w", "Save", "Save the conversation as Markdown or JSON.", False),
    )
    DEFAULT_CSS = """
    ChatPane #sides { height: 1fr; }
    ChatPane .side { width: 1fr; }
    ChatPane #b { display: none; border-left: vkey $panel; }
    ChatPane.-two #b { display: block; }
    ChatPane .title { background: $surface; }
    ChatPane TextLines { padding: 0 1; }
    ChatPane Prompt { display: none; }
    ChatPane.-open Prompt { display: block; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._thread = ChatThread(lambda error: self.app.call_from_thread(self._faulty, error))
        self._lines = (Lines(), Lines())
        self._drawn: list[tuple[int, int]] = []
        self._timer: Timer | None = None
        self._asked = 0

    def compose(self) -> ComposeResult:
        yield Bar("head")
        with Horizontal(id="sides"):
            for name in ("a", "b"):
                with Vertical(id=name, classes="side"):
                    bar = Bar(f"{name}-title")
                    bar.add_class("title")
                    yield bar
                    yield TextLines(f"{name}-text")
        yield Prompt("prompt")

    def on_mount(self) -> None:
        self._timer = self.set_interval(DRAW_EVERY_S, self.draw, pause=True)
        self.draw()

    def on_unmount(self) -> None:
        for side in self.sides:
            side.cancel()
            self._thread.do(side.close)
        self._thread.end(LEAVE_LIMIT_S)

    def on_resize(self) -> None:
        self._drawn = []
        self.call_after_refresh(self.draw)

    def run_chosen(self) -> None:
        if self.is_mounted and not self.sides:
            self.draw()

    def focus_first(self) -> None:
        (self._prompt if self.sides else self.query_one("#a-text")).focus(scroll_visible=False)

    def allows(self, name: str) -> bool:
        if name in ("models", "save", "new", "change", "correct", "again"):
            talked = bool(self.sides and self.sides[0].exchanges)
            return not self.busy and (name == "models" or talked)
        if name == "write":
            return not self._prompt.has_focus and (bool(self.sides) or self._run_has_models)
        if name == "escape":
            return self.busy or self._prompt.has_focus
        return bool(self.sides) and (name != "compare" or not self.busy)

    def copied(self) -> tuple[str, str]:
        last = self.sides[0].last if self.sides else None
        return (last.answer, "the answer") if last and last.answer else ("", "")

    @property
    def busy(self) -> bool:
        """Whether a model is being opened or is answering."""
        return any(side.busy for side in self.sides)

    # Drawing

    def draw(self) -> None:
        """What is new since the last time; the timer rests when nothing goes on."""
        for side in self.sides:
            side.insist()
        seen = [(id(side), side.version) for side in self.sides]
        if seen == self._drawn and self.sides:
            return
        self._drawn = seen
        self.query_one("#head", Bar).show(self._head())
        if not self.sides:
            self.query_one("#a-text", TextLines).tell([Text(line) for line in EMPTY])
        for name, side, lines in zip("ab", self.sides, self._lines, strict=False):
            self._draw_side(name, side, lines)
        if self._timer and not self.busy:
            self._timer.pause()
        self.refresh_bindings()

    def _draw_side(self, name: str, side: Side, lines: Lines) -> None:
        view = self.query_one(f"#{name}-text", TextLines)
        at_end = view.cursor >= view.count - 1
        view.tell(lines.of(side, max(20, view.size.width - 3)))
        if at_end or side.state == "waiting":
            view.cursor = view.count - 1
            self.call_after_refresh(view.scroll_to, y=view.count, animate=False, force=True)
        self.query_one(f"#{name}-title", Bar).show(title(side))

    def _head(self) -> Text:
        if not self.sides or self.settings is None:
            run = self.screen_app.current
            return Text(f" current run: {one_line(run.name, 40)}" if run else " no run")
        sampling = self.settings.sampling
        text = Text(f" temperature {sampling.temperature:g}  top_p {sampling.top_p:g}  ")
        text.append(f"top_k {sampling.top_k}  up to {sampling.max_tokens:,} tokens  ")
        system = one_line(self.settings.system, 200)
        return text.append(f"system: {system}" if system else "no system prompt", "dim")

    # Asking

    def on_prompt_sent(self, message: Prompt.Sent) -> None:
        if self.busy:
            self.say("an answer is being written; Esc stops it")
            return
        self._prompt.last_sent = message.text_sent
        self._prompt.put("")
        self._ask(message.text_sent)

    def _ask(self, question: str, seed_step: int = 0) -> None:
        assert self.settings is not None
        sampling, system = self.settings.sampling, self.settings.system
        if seed_step:
            sampling = replace(sampling, seed=(sampling.seed + seed_step) % 2**32)
        for side in self.sides:
            side.expect(question)
            self._thread.do(partial(side.ask, system, sampling))
        self._go()

    def action_write(self) -> None:
        if self.sides:
            self._prompt.focus()
            return
        run = self.screen_app.current
        assert run is not None, "allows() let it through without a run"
        self.talk_to(first_model(run))
        self.screen_app.say_command("chat", run.name)

    def action_escape(self) -> None:
        if self.busy:
            for side in self.sides:
                side.cancel()
        else:
            self.query_one("#a-text").focus()

    def action_again(self) -> None:
        assert self.settings is not None
        for side in self.sides:
            if side.exchanges:
                question = side.take_back()
        self._asked += 1
        self._ask(question, self._asked)
        if self.settings.sampling.greedy:
            self.say("temperature 0 gives the same answer every time; p changes it", "warning")

    def action_change(self) -> None:
        for side in self.sides:
            if side.exchanges:
                question = side.take_back()
        self._prompt.put(question)
        self._prompt.focus()
        self.draw()

    def action_new(self) -> None:
        for side in self.sides:
            side.restart()
        self._prompt.focus()
        self.draw()

    # Models

    def talk_to(self, model: Model) -> None:
        """Open a model in the place of those that are open; its run's settings come with it."""
        self.settings = settings_of_model(model)
        self._close_from(0)
        self._open_side(model)

    def action_models(self) -> None:
        self._pick("Talk to which model?", self.talk_to)

    def action_compare(self) -> None:
        if len(self.sides) == 2:
            self._close_from(1)
            self.draw()
            return
        run = self.sides[0].model.run
        if run:
            try:
                base = base_of(run)
            except UserError:
                base = None
            if base and base.path != self.sides[0].model.path:
                self._second(base)
                self.screen_app.say_command("chat", run.name, "--compare", "base")
                return
        self._pick("Which model beside it?", self._second)

    def _second(self, model: Model) -> None:
        if self.sides[0].exchanges:
            self.sides[0].restart()
            self.say("a new conversation: both models begin alike")
        self._open_side(model)

    def _open_side(self, model: Model) -> None:
        assert self.settings is not None
        settings, log = self.settings, self.screen_app.state_folder / "llama.log"
        side = Side(model)
        self.sides.append(side)
        self.set_class(len(self.sides) == 2, "-two")
        self.add_class("-open")
        self._prompt.focus()
        self._drawn = []
        self._thread.do(lambda: side.open(settings, log))
        self._go()

    def _close_from(self, number: int) -> None:
        for side in self.sides[number:]:
            self._thread.do(side.close)
        del self.sides[number:]
        self.set_class(len(self.sides) == 2, "-two")
        self._drawn = []

    def _pick(self, question: str, use: Callable[[Model], None]) -> None:
        from workbench.tui.dialogs.entry import Entry
        from workbench.tui.dialogs.picker import Picker

        models = {model.name: model for model in all_models(self.screen_app.watching.runs)}
        choices = [(model.name, model.about) for model in models.values()]

        def of_file(path: str | None) -> None:
            if path:
                self.screen_app.guarded(lambda: use(file_model(path)))

        def picked(name: str | None) -> None:
            if name == A_FILE:
                self.app.push_screen(Entry("Path of a .gguf file", "", _file_fault), of_file)
            elif name:
                self.screen_app.guarded(lambda: use(models[name]))

        choices += [(A_FILE, "any GGUF by its path")]
        self.app.push_screen(Picker(question, choices), picked)

    # Settings

    def action_system(self) -> None:
        from workbench.tui.dialogs.entry import Entry

        def then(typed: str | None) -> None:
            if typed is not None and self.settings:
                self.settings = replace(self.settings, system=typed)
                self._drawn = []
                self.draw()

        assert self.settings is not None
        self.app.push_screen(Entry("System prompt (empty: none)", self.settings.system), then)

    def action_sampling(self) -> None:
        from workbench.tui.dialogs.entry import Entry

        assert self.settings is not None
        before = self.settings

        def check(typed: str) -> str:
            try:
                read_sampling(typed, before.sampling)
            except UserError as error:
                return str(error)
            return ""

        def then(typed: str | None) -> None:
            if typed is not None:
                self.settings = replace(before, sampling=read_sampling(typed, before.sampling))
                self._drawn = []
                self.draw()

        self.app.push_screen(Entry("Sampling", sampling_words(before.sampling), check), then)

    # Inside

    @property
    def _prompt(self) -> Prompt:
        return self.query_one(Prompt)

    @property
    def _run_has_models(self) -> bool:
        run = self.screen_app.current
        return run is not None and bool(models_of(run))

    def _go(self) -> None:
        self.draw()
        if self._timer:
            self._timer.resume()

    def _faulty(self, error: Exception) -> None:
        self.screen_app.say_error(error)


def _file_fault(typed: str) -> str:
    if not typed.endswith(".gguf"):
        return "the name ends with .gguf"
    return "" if Path(typed).expanduser().is_file() else "there is no such file"
