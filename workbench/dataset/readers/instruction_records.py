"""Records with a prompt and its response: formats that differ only in the names of their fields.

    {"instruction": "Translate.", "input": "good morning", "output": "guten Morgen"}      alpaca
    {"instruction": "Who wrote it?", "context": "...", "response": "..."}                  dolly
    {"prompt": "...", "completion": "...", "must_contain": ["for"]}            prompt-completion

The prompt is the first field, then, after an empty line, the second one if it is not empty.
`category` and `must_contain` (what a good response contains) can be left out. A record of
prompt-completion can lack the completion: fine for evaluation, and refused for training.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from workbench.dataset.reader_options import ReaderOptions
from workbench.dataset.readers.fields import exchange, text_field
from workbench.dataset.rows import Place, Row


@dataclass(frozen=True)
class InstructionFormat:
    """One format. `context` names the second part of the prompt, `""` if there is none."""

    FORMAT: str
    prompt: str
    context: str
    response: str
    prompt_alone: bool = False  # the response can be missing

    @cached_property
    def KEYS(self) -> tuple[str, ...]:
        """The keys that a record of the format uses, but those of every format."""
        return tuple(key for key in (self.prompt, self.context, self.response, "system") if key)

    def fits(self, keys: Collection[str]) -> str:
        """Which keys make a record one of this format, `""` when it is none."""
        if {self.prompt, self.response} <= set(keys):
            return f"'{self.prompt}' and '{self.response}'"
        return f"'{self.prompt}'" if self.prompt_alone and self.prompt in keys else ""

    def row(self, place: Place, value: dict[str, Any], options: ReaderOptions) -> Row:
        """The row of one record. Raises Refused."""
        prompt = [text_field(value, self.prompt)]
        if self.context:
            prompt.append(text_field(value, self.context, optional=True))
        if self.prompt_alone and value.get(self.response) is None:
            return exchange(place, value, prompt, None)
        return exchange(place, value, prompt, text_field(value, self.response))


ALPACA = InstructionFormat("alpaca", "instruction", "input", "output")
DOLLY = InstructionFormat("dolly", "instruction", "context", "response")
PROMPT_COMPLETION = InstructionFormat(
    "prompt-completion", "prompt", "", "completion", prompt_alone=True
)
