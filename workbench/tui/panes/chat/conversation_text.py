"""A chat as lines (prompts, answers, how each ended, the settings), and what is saved of it.

Saved are the conversation, as a file, and a corrected answer, as a row.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from workbench.core.errors import UserError
from workbench.core.text import one_line
from workbench.tui.pane import Pane
from workbench.tui.panes.chat.model_list import Model
from workbench.tui.panes.chat.model_slot import Exchange, ModelSlot
from workbench.tui.styled_text import styled, wrapped

if TYPE_CHECKING:
    from workbench.core.sampling import SamplingParams
    from workbench.dataset.rows import Message
    from workbench.inference.conversation import ChatSettings

STATES = {
    "opening": "loading the model ...",
    "waiting": "waiting ...",
    "reading": "reading the prompt ...",
    "writing": "generating ...   Esc stops",
}


class ConversationLines:
    """The lines of one side; finished exchanges are laid out once for each width."""

    def __init__(self) -> None:
        self._width = 0
        self._kept: dict[int, tuple[Exchange, list[Text]]] = {}

    def of(self, side: ModelSlot, width: int) -> list[Text]:
        """All lines, the newest last."""
        if width != self._width:
            self._width = width
            self._kept.clear()
        lines = [
            line for number, one in enumerate(side.exchanges) for line in self._of(number, one)
        ]
        if side.trouble:
            lines += wrapped(f"✗ {side.trouble}", width, "bold red")
        if side.state in STATES:
            lines.append(styled(side.doing or STATES[side.state], "dim"))
        return lines

    def _of(self, number: int, one: Exchange) -> list[Text]:
        kept = self._kept.get(number)
        if kept is None or kept[0] is not one:
            kept = (one, laid_out(one, self._width))
            self._kept[number] = kept
        return kept[1]


def laid_out(one: Exchange, width: int) -> list[Text]:
    """A question, its answer and how that ended."""
    lines = wrapped(f"› {one.question}", width, "bold")
    if one.answer:
        lines += wrapped(one.answer, width, "")
    if one.note:
        lines += wrapped(f"[{one.note}]", width, "dim")
        lines.append(Text(""))
    return lines


def title(side: ModelSlot) -> Text:
    """The model's name, which of its weights answer, and how long a talk it can hold."""
    text = styled(f" {one_line(side.model.name, 40)}", "bold")
    if side.label:
        follows = ", following the newest" if side.follows else ""
        text.append(f"  {one_line(side.label, 40)}{follows}", "not bold")
    told = f"  up to {side.context:,} tokens" if side.context else ""
    return text.append(told, "not bold dim")


def sampling_words(sampling: SamplingParams) -> str:
    """`temperature=0.2 top_k=40 ...`, as `read_sampling` takes it."""
    return " ".join(f"{name}={value:g}" for name, value in sampling.as_dict().items())


def read_sampling(typed: str, before: SamplingParams) -> SamplingParams:
    """The settings in a line such as `sampling_words` gives. Raises UserError."""
    sampling = before
    for word in typed.split():
        key, equals, value = word.partition("=")
        if not equals:
            names = ", ".join(field.name for field in fields(before))
            raise UserError(
                f"'{one_line(word, 30)}' is not a setting", hint=f"use KEY=VALUE with {names}"
            )
        sampling = sampling.with_text(key, value)
    return sampling


class ConversationFiles(Pane):
    """Holds the sides and their settings; the pane that shows them does the talking."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.sides: list[ModelSlot] = []
        self.settings: ChatSettings | None = None

    def action_save(self) -> None:
        from workbench.tui.dialogs.dialog import Entry

        name = self.sides[0].model.name.replace(" ", "-")

        def then(typed: str | None) -> None:
            if typed:
                self.screen_app.guarded(lambda: self._save(Path(typed).expanduser()))

        self.app.push_screen(Entry("Save the conversation as (.md or .json)", f"{name}.md"), then)

    def action_correct(self) -> None:
        from workbench.tui.dialogs.correction import correct

        side = self.sides[0]
        last = side.last
        assert last is not None, "allows() let it through without an answer"
        asked = self._messages(side)[:-1]
        correct(self.screen_app, asked, last.answer, rejected=last.answer, said_by=side.name)

    def _save(self, path: Path) -> None:
        from workbench.inference.transcript import Transcript, save

        assert self.settings is not None
        said = []
        for number, side in enumerate(self.sides):
            target = path if not number else path.with_stem(f"{path.stem}-{side.model.path.stem}")
            settings = self.settings.sampling.as_dict()
            save(Transcript(side.name, tuple(self._messages(side)), settings), target)
            said.append(str(target))
        self.say(f"saved {' and '.join(said)}")

    def _messages(self, side: ModelSlot) -> list[Message]:
        from workbench.dataset.rows import ASSISTANT, SYSTEM, USER, Message

        assert self.settings is not None
        system = self.settings.system
        messages = [Message(SYSTEM, system)] if system else []
        for one in side.exchanges:
            messages += [Message(USER, one.question), Message(ASSISTANT, one.answer)]
        return messages


def settings_of_model(model: Model) -> ChatSettings:
    """How the model's run asks: its sampling, its stop texts, its system prompt."""
    from workbench.inference.conversation import generation_settings
    from workbench.preset.loader import load

    return generation_settings(load(str(model.run.preset_file)).preset if model.run else None)
