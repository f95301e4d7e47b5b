"""Does a chat template fit training? Found out on a small conversation, before any row is read.

What is asked: does it go on from its own generation prompt; which token ends the assistant's turn,
and is it one at which generation stops; does it write BOS once; does it take a system message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.core.errors import UserError
from workbench.dataset.rows import ASSISTANT, SYSTEM, USER, Fault, Message, Place, Row
from workbench.tokenization.chat_template import ChatTemplate
from workbench.tokenization.conversations import encode_row
from workbench.tokenization.tokenizer import Tokenizer

QUESTION, ANSWER = "alpha question", "beta answer"
_SAMPLE = (Message(USER, QUESTION), Message(ASSISTANT, ANSWER))
_TOOLS = (
    {
        "type": "function",
        "function": {
            "name": "gamma",
            "description": "A tool.",
            "parameters": {
                "type": "object",
                "properties": {"delta": {"type": "string", "description": "A text."}},
                "required": ["delta"],
            },
        },
    },
)
_OTHER = "choose another model.chat_template"


@dataclass(frozen=True)
class TemplateReport:
    """What was found out about a template with a tokenizer."""

    stop_id: int | None  # the control token that the template writes after an answer
    takes_system: bool
    faults: tuple[Fault, ...]
    tool_stop_id: int | None = None  # the same of the template for tools, where that is another

    @property
    def stop_ids(self) -> list[int]:
        """The control tokens that end an answer, `stop_id` first."""
        return [one for one in (self.stop_id, self.tool_stop_id) if one is not None]


def check_template(
    template: ChatTemplate, tokenizer: Tokenizer, stop_ids: Sequence[int] = ()
) -> TemplateReport:
    """Facts and faults; with `stop_ids`, also whether the turn ends with one of them."""
    place = Place(template.name, 0)
    try:
        text = template.render(_SAMPLE)
        prompt = template.render(_SAMPLE[:1], add_generation_prompt=True)
    except UserError as error:
        return TemplateReport(None, False, (Fault(place, "template", error.message, error.hint),))
    stop = find_stop_id(template, tokenizer)
    faults = [*_seam_faults(place, prompt, text), *_stop_faults(place, stop, tokenizer, stop_ids)]
    if stop is not None and not any(fault.fatal for fault in faults):
        found = encode_row(Row(place, _SAMPLE), template, tokenizer, 1 << 20, (stop,))
        faults += [found] if isinstance(found, Fault) else []
    faults += _bos_faults(place, text, tokenizer)
    return TemplateReport(
        stop, _takes_system(template), tuple(faults), _tool_stop_id(template, tokenizer)
    )


def _tool_stop_id(template: ChatTemplate, tokenizer: Tokenizer) -> int | None:
    """None also for a template that needs more than a tool: rows that it refuses are told then."""
    try:
        return find_stop_id(template, tokenizer, _TOOLS) if template.tool_use else None
    except UserError:
        return None


def find_stop_id(
    template: ChatTemplate, tokenizer: Tokenizer, tools: Sequence[Mapping[str, Any]] = ()
) -> int | None:
    """The first control token that the template writes after an answer, None if it writes none."""
    text = template.render(_SAMPLE, tools=tools)
    at = text.rfind(ANSWER)
    if at < 0:
        return None
    ids, _ = tokenizer.encode(text[at + len(ANSWER) :])
    special = set(tokenizer.special_tokens.values())
    return next((number for number in ids if number in special), None)


def _seam_faults(place: Place, prompt: str, text: str) -> list[Fault]:
    if not text.startswith(prompt):
        what = "the template does not continue its own generation prompt"
        return [Fault(place, "prefix", what, _OTHER)]
    before, found, _ = text[len(prompt) :].partition(ANSWER)
    if not found:
        return [Fault(place, "no-answer", "the template omits the assistant's response", _OTHER)]
    if before.strip():
        what = f"the template writes {before.strip()!r} before each response; it is trained too"
        return [Fault(place, "header", what, fatal=False)]
    return []


def _stop_faults(
    place: Place, stop: int | None, tokenizer: Tokenizer, stop_ids: Sequence[int]
) -> list[Fault]:
    if stop is None:
        what = "the template ends assistant turns without a stop token; the model would not stop"
        return [Fault(place, "no-stop", what, _OTHER)]
    if stop_ids and stop not in stop_ids:
        name = next(name for name, number in tokenizer.special_tokens.items() if number == stop)
        what = f"the template ends assistant turns with {name!r}, which is not a stop token"
        return [Fault(place, "no-stop", what, f"add {name!r} to generate.stop")]
    return []


def _bos_faults(place: Place, text: str, tokenizer: Tokenizer) -> list[Fault]:
    ids, _ = tokenizer.encode(text)
    bos = tokenizer.bos_id
    if bos is not None and ids[:2] == [bos, bos]:
        return [Fault(place, "bos", "the template adds BOS twice", _OTHER)]
    return []


def _takes_system(template: ChatTemplate) -> bool:
    try:
        return "gamma" in template.render((Message(SYSTEM, "gamma"), *_SAMPLE))
    except UserError:
        return False
