"""What a training objective is: the rows it takes, how they are encoded, its loss and its words.

The only place that lists the names of objectives. Everything else asks `objective_of(name)` and
compares no name with a string.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from workbench.dataset.rows import Row, RowKind
    from workbench.tokenization.chat_template import ChatTemplate
    from workbench.tokenization.encoder import EncodeRows
    from workbench.tokenization.tokenizer import BackendTokenizer

ObjectiveName = Literal["pretrain", "sft"]
LossKind = Literal["cross_entropy"]


@dataclass(frozen=True)
class SamplePrompt:
    """A fixed prompt of a stage: the text that a person reads, and the token ids for the model."""

    text: str
    ids: Sequence[int]


@dataclass(frozen=True)
class SampleRows:
    """Where a stage's fixed prompts come from.

    `named` are the rows that the preset names, or None to choose from the run's own: `held_out`
    gives the prompts of the evaluation, `validation` the validation rows of the stage; both read a
    file when called. `system` is the preset's system prompt, not yet part of `named`.
    """

    named: Sequence[Row] | None
    held_out: Callable[[], list[Row]]
    validation: Callable[[], list[Row]]
    system: str = ""


class Objective(Protocol):
    """What a stage learns. Plain values, and functions that import what they need when called."""

    @property
    def name(self) -> ObjectiveName:
        """The value of `train.objective`, and the default name of a stage."""

    @property
    def title(self) -> str:
        """What is learned, in a few words, for the form and the description of the key."""

    @property
    def trains_on(self) -> str:
        """Which tokens are in the loss."""

    @property
    def data_title(self) -> str:
        """The data that it needs, for the error about sources that contain none."""

    @property
    def row_kind(self) -> RowKind:
        """The kind of row that a stage takes from its sources."""

    @property
    def loss(self) -> LossKind:
        """The loss that its sequences are trained with."""

    @property
    def needs_chat_template(self) -> bool:
        """Whether a base model without a chat template is refused."""

    def encoding(self) -> EncodeRows:
        """The function that makes sequences of its rows."""

    def sample_prompts(
        self,
        rows: SampleRows,
        tokenizer: BackendTokenizer,
        template: Callable[[], ChatTemplate],
        count: int,
    ) -> list[SamplePrompt]:
        """At most `count` prompts to sample on during training; ids may be empty or too long.

        `template` gives the chat template of the run. Raises UserError from it.
        """


def last_user_text(row: Row) -> str:
    """The last user message of the row, `""` if there is none."""
    from workbench.dataset.rows import USER

    return next((m.content for m in reversed(row.messages) if m.role == USER), "")
