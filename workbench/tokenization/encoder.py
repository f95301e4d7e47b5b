"""All rows of a split become training sequences; `EncodingStats` counts what happened to each.

Rows stream through in batches, so that the tokenizer can work on several at a time and no more than
two batches are in memory: while one is tokenized, which needs no GIL, the next one is rendered.
The function that the objective names makes the sequences. Invariant: every row is in the result,
or counted as dropped, untrained or refused.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal, Protocol, TypeAlias, TypeVar

from workbench.core.errors import UserError
from workbench.dataset.rows import Fault, Row, raise_faults
from workbench.tokenization.chat_template import ChatTemplate
from workbench.tokenization.encoding_stats import EncodingStats
from workbench.tokenization.sequences import EncodedRow, TrainingSequence
from workbench.tokenization.tokenizer import Tokenizer

BATCH = 256
OverlengthPolicy = Literal["drop", "cut", "refuse"]
# Begins to tokenize texts; what it returns waits for their ids.
Tokenize: TypeAlias = "Callable[[list[str]], Callable[[], list[array[int]]]]"
Item = TypeVar("Item")


class EncodeRows(Protocol):
    """How rows of one kind become sequences: a function of a module, so that workers can load it.

    Called with a batch, it may begin to `tokenize` at once and hand out the results later: the
    batch before it is read meanwhile. Its name is part of the cache's key.
    """

    __name__: str

    def __call__(
        self, rows: Sequence[Row], encoder: Encoder, tokenize: Tokenize
    ) -> Iterator[EncodedRow]: ...


@dataclass(frozen=True)
class Encoder:
    """How a stage makes sequences. Conversations need a template, documents a separator."""

    encode_rows: EncodeRows
    tokenizer: Tokenizer
    template: ChatTemplate | None = None
    sequence_length: int = 1 << 30
    stop_ids: tuple[int, ...] = ()
    separator_id: int | None = None

    def encode(self, rows: Iterable[Row]) -> Iterator[EncodedRow]:
        """The sequences and faults of each row, in order."""
        waiting = iter(rows)
        with ThreadPoolExecutor(1) as thread:

            def tokenize(texts: list[str]) -> Callable[[], list[array[int]]]:
                return thread.submit(self.tokenizer.encode_batch, texts).result

            batches = iter(lambda: list(islice(waiting, BATCH)), [])
            begun = (self.encode_rows(batch, self, tokenize) for batch in batches)
            for found in _one_ahead(begun):
                yield from found


@dataclass
class EncodedSplit:
    """Sequences in the order of their rows, the ledger, and faults; those of refused rows fatal."""

    sequences: list[TrainingSequence] = field(default_factory=list)
    ledger: EncodingStats = field(default_factory=EncodingStats)
    faults: list[Fault] = field(default_factory=list)

    def enter(self, found: EncodedRow, on_cut: OverlengthPolicy) -> list[TrainingSequence]:
        """Count what became of a row; returns its sequences that are to be trained on."""
        ledger, place = self.ledger, found.row.place
        ledger.rows += 1
        if found.by_turn:
            ledger.by_turn.add(place)
        kept = []
        for entry in found.parts:
            if isinstance(entry, Fault):
                self._refused(entry)
                continue
            n_trained = entry.n_trained
            ledger.count(entry, n_trained)
            if entry.special_in_text:
                self.faults.append(_special_note(entry))
            if entry.cut and (on_cut != "cut" or not n_trained):
                ledger.dropped.add(place)
            elif not n_trained:
                ledger.untrained.add(place)
            else:
                ledger.keep(entry, n_trained)
                kept.append(entry)
        return kept

    def _refused(self, fault: Fault) -> None:
        nothing = fault.code == "nothing-trained"
        (self.ledger.untrained if nothing else self.ledger.refused).add(fault.place)
        self.faults.append(replace(fault, fatal=not nothing))


def _one_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, the next one already made when one is given out."""
    waiting = iter(items)
    for one in islice(waiting, 1):
        for following in waiting:
            yield one
            one = following
        yield one


def require_sequences(encoding: EncodedSplit, on_cut: OverlengthPolicy = "drop") -> EncodedSplit:
    """`encoding`, when it can be trained on.

    Raises UserErrors for rows that the template refuses, UserError where nothing is left to train
    or where rows are too long and the preset refuses that.
    """
    raise_faults(encoding.faults)
    ledger = encoding.ledger
    if on_cut == "refuse" and ledger.cut.count:
        message = f"rows longer than sequence_length = {ledger.sequence_length}: {ledger.cut}"
        hint = f"set sequence_length = {ledger.saving_length}, or on_cut to 'drop' or 'cut'"
        raise UserError(message, hint=hint)
    if not ledger.sequences:
        raise _nothing_left(ledger)
    return encoding


def _special_note(entry: TrainingSequence) -> Fault:
    message = "the text contains the name of a special token; encoded as plain text"
    return Fault(entry.place, "special-token", message, fatal=False)


def _nothing_left(ledger: EncodingStats) -> UserError:
    if ledger.cut.count:
        message = f"no row fits sequence_length = {ledger.sequence_length}: {ledger.cut}"
        return UserError(message, hint=f"set sequence_length = {ledger.saving_length}")
    return UserError("the data has no trained tokens", hint="mark at least one response as trained")
