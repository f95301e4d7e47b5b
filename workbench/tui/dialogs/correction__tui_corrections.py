"""An answer put right, appended to a data set: asked for by a dialog, told of in the status bar.

Chat and Evaluate send their answers this way; the file that was named last is remembered.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.core.errors import UserError

if TYPE_CHECKING:
    from workbench.dataset.rows import Message
    from workbench.tui.host import Host

CORRECTIONS = "corrections.jsonl"


def correct(
    host: Host, asked: Sequence[Message], answer: str, *, rejected: str, said_by: str
) -> None:
    """Ask for the right answer, beginning with `answer`; append it behind what was asked.

    `rejected` is what the model `said_by` answered: the pair is kept beside the rows.
    """
    from workbench.tui.dialogs.correction import Correction

    path = host.memory.corrections or CORRECTIONS

    def then(given: tuple[str, str] | None) -> None:
        if given:
            host.guarded(lambda: _append(host, asked, *given, rejected, said_by))

    host.push_screen(Correction(asked[-1].content, answer, path, _target_fault), then)


def _append(
    host: Host,
    asked: Sequence[Message],
    answer: str,
    typed: str,
    rejected: str,
    said_by: str,
) -> None:
    from workbench.dataset.rows import ASSISTANT, Message
    from workbench.dataset.corrections import append
    from workbench.dataset.corrections__tui_chatting_pairs import keep_pair

    tags = ("corrected", said_by)
    written = append(Path(typed), [*asked, Message(ASSISTANT, answer)], tags)
    host.memory.corrections = str(Path(typed).expanduser().absolute())
    left = f"; {written.left_out} earlier messages omitted" if written.left_out else ""
    pair = keep_pair(written.place, asked, answer, rejected, said_by)
    kept = f"; rejected response saved in {pair.name}" if pair else ""
    host.say(f"row appended: {written.place} ({written.format}){left}{kept}")


def _target_fault(typed: str) -> str:
    from workbench.dataset.corrections import format_of

    if not typed.strip():
        return "give a file"
    try:
        format_of(Path(typed))
    except UserError as error:
        return str(error)
    return ""
