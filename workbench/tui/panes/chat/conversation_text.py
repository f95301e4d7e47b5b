"""What a chat looks like in lines: questions, answers, how each ended; and the settings."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from rich.text import Text

from workbench.core.errors import UserError
from workbench.core.text import one_line
from workbench.tui.panes.chat.model_slot import Exchange, Side
from workbench.tui.styled_text import styled, wrapped

if TYPE_CHECKING:
    from workbench.core.sampling import Sampling

STATES = {
    "opening": "loading the model ...",
    "waiting": "waiting ...",
    "reading": "reading the prompt ...",
    "writing": "generating ...   Esc stops",
}


class Lines:
    """The lines of one side; finished exchanges are laid out once for each width."""

    def __init__(self) -> None:
        self._width = 0
        self._kept: dict[int, tuple[Exchange, list[Text]]] = {}

    def of(self, side: Side, width: int) -> list[Text]:
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


def title(side: Side) -> Text:
    """The model's name, which of its weights answer, and how long a talk it can hold."""
    text = styled(f" {one_line(side.model.name, 40)}", "bold")
    if side.label:
        follows = ", following the newest" if side.follows else ""
        text.append(f"  {one_line(side.label, 40)}{follows}", "not bold")
    told = f"  up to {side.context:,} tokens" if side.context else ""
    return text.append(told, "not bold dim")


def sampling_words(sampling: Sampling) -> str:
    """`temperature=0.2 top_k=40 ...`, as `read_sampling` takes it."""
    return " ".join(f"{name}={value:g}" for name, value in sampling.as_dict().items())


def read_sampling(typed: str, before: Sampling) -> Sampling:
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
