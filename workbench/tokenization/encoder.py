"""All rows of a split become training sequences; `EncodingStats` counts what happened to each.

Rows stream through in batches, so that the tokenizer can work on several at a time and no more than
two batches are in memory: while one is tokenized, which needs no GIL, the next one is rendered.
Invariant: every row is in the result, or counted as dropped, untrained or refused.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal, TypeVar

from workbench.core.errors import UserError
from workbench.dataset.rows import Fault, Row, raise_faults
from workbench.tokenization.chat_template import ChatTemplate
from workbench.tokenization.conversations import (
    TrainingSequence,
    encode_batch,
    encode_document,
    encode_rendered,
    plain_texts,
    split_by_turn,
)
from workbench.tokenization.encoding_stats import EncodingStats
from workbench.tokenization.loss_mask import RenderedConversation, render
from workbench.tokenization.tokenizer import Tokenizer

BATCH = 256
OverlengthPolicy = Literal["drop", "cut", "refuse"]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Encoder:
    """How a stage makes sequences. Conversations need a template, documents a separator."""

    tokenizer: Tokenizer
    template: ChatTemplate | None = None
    sequence_length: int = 1 << 30
    stop_ids: tuple[int, ...] = ()
    separator_id: int | None = None

    def encode(self, rows: Iterable[Row]) -> Iterator[EncodedRow]:
        """The sequences and faults of each row, in order."""
        waiting = iter(rows)
        with ThreadPoolExecutor(1) as tokenizing:
            batches = iter(lambda: list(islice(waiting, BATCH)), [])
            for batch, chats in _one_ahead((b, self._begun(b, tokenizing)) for b in batches):
                for row in batch:
                    yield next(chats) if row.kind == "chat" else EncodedRow(row, self._text(row))

    def _text(self, row: Row) -> list[TrainingSequence | Fault]:
        assert self.separator_id is not None, "documents need a separator"
        return [*encode_document(row, self.tokenizer, self.sequence_length, self.separator_id)]

    def _begun(self, batch: Sequence[Row], tokenizing: Executor) -> Iterator[EncodedRow]:
        """The batch's conversations, which are being tokenized from now on."""
        rows = [row for row in batch if row.kind == "chat"]
        if not rows:
            return iter(())
        assert self.template is not None, "conversations need a template"
        rendered = [render(row, self.template, self.tokenizer) for row in rows]
        ids = tokenizing.submit(self.tokenizer.encode_batch, plain_texts(rendered))
        return self._chats(rows, rendered, ids)

    def _chats(
        self,
        rows: Sequence[Row],
        rendered: Sequence[RenderedConversation | Fault],
        ids: Future[list[array[int]]],
    ) -> Iterator[EncodedRow]:
        length = self.sequence_length
        of_all = encode_rendered(rendered, ids.result(), self.tokenizer, length, self.stop_ids)
        for row, found in zip(rows, of_all, strict=True):
            if isinstance(found, Fault) and found.code == "rewrites":
                yield EncodedRow(row, self._by_turn(row), by_turn=True)
            else:
                yield EncodedRow(row, [found])

    def _by_turn(self, row: Row) -> list[TrainingSequence | Fault]:
        assert self.template is not None, "conversations need a template"
        length = self.sequence_length
        return [
            *encode_batch(split_by_turn(row), self.template, self.tokenizer, length, self.stop_ids)
        ]


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """What became of a row: sequences, or faults in their place. `by_turn`: one for each turn."""

    row: Row
    parts: list[TrainingSequence | Fault]
    by_turn: bool = False


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


def encode_rows(
    rows: Iterable[Row],
    template: ChatTemplate | None,
    tokenizer: Tokenizer,
    *,
    sequence_length: int,
    stop_ids: Sequence[int] = (),
    separator_id: int | None = None,
    on_cut: OverlengthPolicy = "drop",
) -> EncodedSplit:
    """Every row as sequences, all of them in memory; see `Encoder` and `Encoding.enter`.

    A conversation that is too long is dropped or cut; `refuse` is left to `require_sequences`,
    so that all of them are counted first.
    """
    encoder = Encoder(tokenizer, template, sequence_length, tuple(stop_ids), separator_id)
    encoding = EncodedSplit(ledger=EncodingStats(sequence_length))
    for found in encoder.encode(rows):
        encoding.sequences += encoding.enter(found, on_cut)
    return encoding


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
