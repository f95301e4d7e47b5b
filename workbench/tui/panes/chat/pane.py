"""Talk to a model of a run, alone or beside another; put an answer right and keep it as a row."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.timer import Timer

from workbench.core.errors import UserError
from workbench.core.text import one_line
from workbench.tui.actions import Action
from workbench.tui.panes.chat.conversation_text import (
    ConversationLines,
    read_sampling,
    sampling_words,
    title,
)
from workbench.tui.panes.chat.model_list import first_model, has_models
from workbench.tui.panes.chat.model_slot import ModelSlot
from workbench.tui.panes.chat.prompt_input import PromptInput
from workbench.tui.panes.chat.slot_manager import FOLLOW_EVERY_S, SlotManager
from workbench.tui.widgets.bar import Bar
from workbench.tui.widgets.row_list import TextLines

if TYPE_CHECKING:
    from workbench.inference.logprobs import TokenLogprob

DRAW_EVERY_S = 0.06
LEAVE_LIMIT_S = 2.0
EMPTY = (
    "No model loaded.",
    "",
    "Enter  Load the current run's model (the one selected in Runs).",
    "m      Choose any model of any run, or a file.",
    "b      Compare with the base model: both get the same prompt; B: any other model.",
    "f      Follow the current run's newest weights, even while it trains.",
)


class ChatPane(SlotManager):
    """One side or two; the models are loaded in this process, in a thread of their own."""

    ID = "chat"
    HELP = (
        "Chat with the models of your runs. Enter sends; end a line with a backslash to continue "
        "it. Esc stops a response, or leaves the input so that letters act as keys. With a second "
        "model, every prompt goes to both, one after the other."
    )
    ACTIONS = (
        Action("chat.write", "enter,i", "Message", "Load the run's model, then type a message."),
        Action("chat.escape", "escape", "Stop", "Stop the response, or leave the input."),
        Action("chat.models", "m,f2", "Model", "Choose a model to chat with."),
        Action("chat.compare", "b,f3", "Compare", "Show or hide the base model side by side."),
        Action("chat.follow", "f,f6", "Follow", "Follow the newest weights; again: stop."),
        Action("chat.correct", "c,ctrl+o", "Correct", "Correct the response; save it as a row."),
        Action("chat.again", "r,ctrl+r", "Retry", "Regenerate the response with a new seed."),
        Action("chat.tokens", "t", "Tokens", "Show token probabilities and alternatives."),
        Action("chat.system", "s,f4", "System", "Edit the system prompt."),
        Action("chat.sampling", "p,f5", "Sampling", "Change temperature and other settings."),
        Action("chat.change", "E,ctrl+g", "Edit", "Edit and resend the last prompt.", False),
        Action("chat.second", "B", "Second model", "Choose the second model.", False),
        Action("chat.new", "n,ctrl+n", "New", "Start a new conversation.", False),
        Action("chat.save", "w", "Save", "Save the conversation as Markdown or JSON.", False),
    )
    DEFAULT_CSS = """
    ChatPane #sides { height: 1fr; }
    ChatPane .side { width: 1fr; }
    ChatPane #b { display: none; border-left: vkey $panel; }
    ChatPane.-two #b { display: block; }
    ChatPane .title { background: $surface; }
    ChatPane TextLines { padding: 0 1; }
    ChatPane PromptInput { display: none; }
    ChatPane.-open PromptInput { display: block; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines = (ConversationLines(), ConversationLines())
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
        yield PromptInput("prompt")

    def on_mount(self) -> None:
        self._timer = self.set_interval(DRAW_EVERY_S, self.draw, pause=True)
        self.set_interval(FOLLOW_EVERY_S, self.look_for_newer)
        self.draw()

    def on_unmount(self) -> None:
        for side in self.sides:
            side.cancel()
            self.thread.do(side.close)
        self.thread.end(LEAVE_LIMIT_S)

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
        if name == "tokens":
            return not self.busy and bool(self.sides) and all(s.last_is_newest for s in self.sides)
        if name == "write":
            return not self._prompt.has_focus and (bool(self.sides) or self._run_has_models)
        if name == "escape":
            return self.busy or self._prompt.has_focus
        if name == "follow":
            return not self.busy and (self.follows or self.run_to_follow is not None)
        return bool(self.sides) and (name not in ("compare", "second") or not self.busy)

    def copied(self) -> tuple[str, str]:
        last = self.sides[0].last if self.sides else None
        return (last.answer, "the response") if last and last.answer else ("", "")

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

    def _draw_side(self, name: str, side: ModelSlot, lines: ConversationLines) -> None:
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

    def on_prompt_input_sent(self, message: PromptInput.Sent) -> None:
        if self.busy:
            opening = any(side.state == "opening" for side in self.sides)
            self.say(
                "the model is still loading"
                if opening
                else "a response is being generated; press Esc to stop it"
            )
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
            self.thread.do(partial(side.ask, system, sampling))
        self._go()

    def action_write(self) -> None:
        if self.sides:
            self._prompt.focus()
            return
        run = self.screen_app.current
        assert run is not None, "allows() let it through without a run"
        self.talk_to(first_model(run))

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
        if self.settings.sampling.greedy and not self.follows:
            self.say(
                "temperature 0 always gives the same response; press p to change it", "warning"
            )

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

    def action_tokens(self) -> None:
        self.thread.do(partial(self._read_tokens, list(self.sides)))
        self._go()

    def _read_tokens(self, sides: list[ModelSlot]) -> None:
        """In the chat's thread."""
        found = [(side.name, side.tokens()) for side in sides]
        self.app.call_from_thread(self._show_tokens, found)

    def _show_tokens(self, found: list[tuple[str, list[TokenLogprob]]]) -> None:
        from workbench.tui.dialogs.tokens import Tokens

        self.draw()
        if any(tokens for _, tokens in found):
            self.app.push_screen(Tokens(found))

    # Settings

    def action_system(self) -> None:
        from workbench.tui.dialogs.dialog import Entry

        def then(typed: str | None) -> None:
            if typed is not None and self.settings:
                self.settings = replace(self.settings, system=typed)
                self._drawn = []
                self.draw()

        assert self.settings is not None
        self.app.push_screen(
            Entry("System prompt (leave empty for none)", self.settings.system), then
        )

    def action_sampling(self) -> None:
        from workbench.tui.dialogs.dialog import Entry

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
    def _prompt(self) -> PromptInput:
        return self.query_one(PromptInput)

    @property
    def _run_has_models(self) -> bool:
        run = self.screen_app.current
        return run is not None and has_models(run)

    def sides_changed(self) -> None:
        self._drawn = []

    def side_opened(self) -> None:
        self._prompt.focus()
        self._go()

    def _go(self) -> None:
        self.draw()
        if self._timer:
            self._timer.resume()
