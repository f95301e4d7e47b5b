"""A Jinja chat template as a Go template for Ollama, proved equal, or why it cannot be one.

Ollama hands the template alternating messages: it joins neighbours of one role itself, and puts the
SYSTEM of the Modelfile before them. What depends on the roles alone becomes a Go template
(`turns`, `go_text`). A date is computed by Ollama where it can, else it is the day of the export.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from workbench.serving.go_text import DATE, date_mark, date_parts, go_text
from workbench.serving.template_turns import (
    Message,
    NotLinear,
    Pieces,
    Renderer,
    prove,
    read_pieces,
    renderer,
    same,
)

__all__ = ["GoTemplate", "NotLinear", "Renderer", "go_template", "renderer"]

COMPUTED = "TEMPLATE computes today's date with currentDate: it needs Ollama 0.11.1 or newer"
_DAYS = (date(2024, 2, 9), date(2031, 12, 25))  # the proof's
_THINKING = "<think>\nhm\n</think>\n\nYes."


@dataclass(frozen=True)
class GoTemplate:
    """`text`: the template. `stops`: strings that end an answer. `notes`: what it does not keep.

    `trims`: the roles whose messages the Jinja template trims; Go templates cannot.
    """

    text: str
    stops: tuple[str, ...]
    notes: tuple[str, ...] = ()
    trims: tuple[str, ...] = ()


def go_template(
    render: Renderer,
    *,
    special_tokens: Sequence[str] = (),
    added_bos: str = "",
    today: date | None = None,
) -> GoTemplate:
    """The Go template equal to `render` on every conversation Ollama can send.

    `special_tokens`: those of the tokenizer; the one that follows an answer is a stop string.
    `added_bos`: the BOS text when llama.cpp adds it by itself; it is taken off the start.
    `today`: the day to write where Ollama cannot compute it. Raises NotLinear if there is no such.
    """
    plain = Renderer(render.template, added_bos)
    day = today or date.today()
    found = _computed(plain, day) or _pinned(plain, day)
    closing = found.pieces.user_after_assistant.lstrip()
    starts = sorted((t for t in special_tokens if t and closing.startswith(t)), key=len)
    trims = tuple(role for role in ("system", "user", "assistant") if _trims(found, role))
    notes = (*found.notes, *_losses(found, trims))
    return GoTemplate(found.text, tuple(starts[-1:]), notes, trims)


@dataclass(frozen=True)
class _Found:
    """A template taken apart and proved: `pieces` and `render` are those of one day."""

    text: str
    pieces: Pieces
    render: Renderer
    notes: tuple[str, ...] = ()


def _computed(render: Renderer, today: date) -> _Found | None:
    """With dates that Ollama computes, or without any; None where that is not the same text."""
    formats = list[str]()

    def mark(form: str) -> str:
        formats.append(form)
        return date_mark(len(formats) - 1)

    try:
        pieces = read_pieces(render.at(mark))
        marks = {int(found[1]) for text in pieces.texts for found in DATE.finditer(text)}
        if any(date_parts(formats[number]) is None for number in marks):
            return None
        for day in (*_DAYS, today) if formats else (today,):
            filled, on_day = _filled(pieces, formats, day), _on(render, day)
            prove(filled, on_day)
    except NotLinear:
        if formats:
            return None  # perhaps because of what it does with a mark: a day will tell
        raise
    return _Found(go_text(pieces, formats), filled, on_day, (COMPUTED,) if marks else ())


def _pinned(render: Renderer, today: date) -> _Found:
    """With the day of the export as text."""
    render = _on(render, today)
    pieces = read_pieces(render)
    prove(pieces, render)
    note = f"TEMPLATE has a fixed date, {today.isoformat()}: Ollama cannot compute it in this form"
    return _Found(go_text(pieces), pieces, render, (note,))


def _on(render: Renderer, day: date) -> Renderer:
    return render.at(day.strftime)


def _filled(pieces: Pieces, formats: Sequence[str], day: date) -> Pieces:
    """The pieces with each date's mark replaced by the day."""
    return pieces.changed(
        lambda text: DATE.sub(lambda mark: day.strftime(formats[int(mark[1])]), text)
    )


def _trims(found: _Found, role: str) -> bool:
    """Whether the template trims a message of that role; Ollama has no way to."""
    talk = _talk(found.pieces.takes_system, {role: "  padded \n"})
    stripped = _talk(found.pieces.takes_system, {role: "padded"})
    if role == "system" and not found.pieces.takes_system:
        return False
    wanted = found.render
    return not same(found.pieces, wanted, talk) and wanted(talk, True) == wanted(stripped, True)


def _losses(found: _Found, trims: Sequence[str]) -> list[str]:
    notes = []
    if not found.pieces.takes_system:
        notes.append("the template does not support system prompts: Ollama's SYSTEM has no effect")
    if trims:
        roles = " and ".join([", ".join(trims[:-1]), trims[-1]] if trims[1:] else trims)
        notes.append(f"the template trims {roles} messages; Ollama passes them on as they are")
    if not same(found.pieces, found.render, _talk(False, {"assistant": _THINKING})):
        notes.append("the template removes thinking from earlier responses; Ollama passes it on")
    return notes


def _talk(with_system: bool, said: dict[str, str]) -> list[Message]:
    roles = ("system", "user", "assistant", "user")[not with_system :]
    return [{"role": role, "content": said.get(role, f"A {role}.")} for role in roles]
