"""A base model on its way to a training, as checks see it, and when a check runs.

A check is a function `(Candidate) -> Iterable[Finding]`; a WorkbenchError that it raises counts as
one error. It reads no tensor's values: only names, shapes and number formats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from workbench.core.findings import Finding
from workbench.dataset.rows import Row
from workbench.preset.schema import Preset
from workbench.tokenization.chat_template import ChatTemplate


class When(Enum):
    """The files that a check needs, in the order in which they come to this machine."""

    CONFIG = "config.json and the list of files"
    TOKENIZER = "the tokenizer and template that training will use"
    WEIGHTS = "the headers of the base's safetensors files"


@dataclass(frozen=True)
class Candidate:
    """What a base is checked by, as plain values.

    `base`: a folder in Hugging Face layout, its weights perhaps not there yet; `files`: the names
    of all files that the model has, None for those in the folder. `exports`: whether GGUF files are
    written in this invocation, and not only asked for by the preset. From TOKENIZER on:
    `tokenizer`, the folder that `prepare` saved; `template`, the one in use, None without one;
    `end_of_turn`, text of the token that ends a response when it is not EOS; `rows`, the training,
    validation and held-out rows.
    """

    base: Path
    preset: Preset
    files: frozenset[str] | None = None
    exports: bool = True
    tokenizer: Path | None = None
    template: ChatTemplate | None = None
    end_of_turn: str = ""
    rows: Sequence[Row] = ()

    @property
    def tokenizer_folder(self) -> Path:
        assert self.tokenizer is not None, "TOKENIZER checks run after the tokenizer was saved"
        return self.tokenizer


Check = Callable[[Candidate], Iterable[Finding]]
