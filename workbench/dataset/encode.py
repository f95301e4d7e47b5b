"""All rows of a split become training sequences, and the ledger says what happened to each.

Invariant: every row is in the result, or counted in the ledger as dropped, untrained or refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from workbench.dataset.ledger import Ledger
from workbench.dataset.rows import Fault, Row, raise_faults
from workbench.dataset.template import ChatTemplate
from workbench.dataset.tokenize import Encoded, by_turn, encode_row, encode_text
from workbench.dataset.tokenizer import Tokenizer
from workbench.errors import UserError

OnCut = Literal["drop", "cut", "refuse"]


@dataclass
class Encoding:
    """Sequences in the order of their rows, the ledger, and faults; those of refused rows fatal."""

    sequences: list[Encoded] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    faults: list[Fault] = field(default_factory=list)


def encode_rows(
    rows: Iterable[Row],
    template: ChatTemplate | None,
    tokenizer: Tokenizer,
    *,
    sequence_length: int,
    stop_ids: Sequence[int] = (),
    separator_id: int | None = None,
    on_cut: OnCut = "drop",
) -> Encoding:
    """Every row as sequences. Conversations need `template` and `stop_ids`, documents a separator.

    A conversation that is too long is dropped or cut; `refuse` is left to `require_sequences`,
    so that all of them are counted first.
    """
    encoding = Encoding(ledger=Ledger(sequence_length))
    for row in rows:
        encoding.ledger.rows += 1
        if row.kind == "text":
            assert separator_id is not None, "documents need a separator"
            found: list[Encoded | Fault] = [
                *encode_text(row, tokenizer, sequence_length, separator_id)
            ]
        else:
            assert template is not None, "conversations need a template"
            found = _conversation(row, template, tokenizer, sequence_length, stop_ids, encoding)
        for entry in found:
            _enter(encoding, entry, on_cut)
    return encoding


def require_sequences(encoding: Encoding, on_cut: OnCut = "drop") -> Encoding:
    """`encoding`, when it can be trained on.

    Raises UserErrors for rows that the template refuses, UserError where nothing is left to train
    or where rows are too long and the preset refuses that.
    """
    raise_faults(encoding.faults)
    ledger = encoding.ledger
    if on_cut == "refuse" and ledger.cut.count:
        message = f"rows longer than sequence_length = {ledger.sequence_length}: {ledger.cut}"
        hint = f"set sequence_length = {ledger.saving_length}, or on_cut to drop or cut"
        raise UserError(message, hint=hint)
    if not encoding.sequences:
        raise _nothing_left(ledger)
    return encoding


def _conversation(
    row: Row,
    template: ChatTemplate,
    tokenizer: Tokenizer,
    sequence_length: int,
    stop_ids: Sequence[int],
    encoding: Encoding,
) -> list[Encoded | Fault]:
    whole = encode_row(row, template, tokenizer, sequence_length, stop_ids)
    if not isinstance(whole, Fault) or whole.code != "rewrites":
        return [whole]
    encoding.ledger.by_turn.add(row.place)
    parts = by_turn(row)
    return [encode_row(part, template, tokenizer, sequence_length, stop_ids) for part in parts]


def _enter(encoding: Encoding, entry: Encoded | Fault, on_cut: OnCut) -> None:
    ledger = encoding.ledger
    if isinstance(entry, Fault):
        (ledger.untrained if entry.code == "nothing-trained" else ledger.refused).add(entry.place)
        fatal = entry.code != "nothing-trained"
        encoding.faults.append(replace(entry, fatal=fatal))
        return
    _count(ledger, entry)
    if entry.special_in_text:
        encoding.faults.append(_special_note(entry))
    if entry.cut and (on_cut != "cut" or not entry.n_trained):
        ledger.dropped.add(entry.place)
    elif not entry.n_trained:
        ledger.untrained.add(entry.place)
    else:
        encoding.sequences.append(entry)
        ledger.sequences += 1
        ledger.tokens += len(entry.ids)
        ledger.trained_tokens += entry.n_trained


def _count(ledger: Ledger, entry: Encoded) -> None:
    ledger.longest = max(ledger.longest, entry.length)
    if entry.cut:
        ledger.cut.add(entry.place)
        if entry.lost_stop:
            ledger.lost_stop.add(entry.place)
        if not entry.n_trained:
            ledger.lost_all.add(entry.place)
    if entry.retokenized:
        ledger.retokenized.add(entry.place)
    if entry.special_in_text:
        ledger.special_in_text.add(entry.place)


def _special_note(entry: Encoded) -> Fault:
    message = "the text holds the name of one of the model's control tokens; encoded as text"
    return Fault(entry.place, "special-token", message, fatal=False)


def _nothing_left(ledger: Ledger) -> UserError:
    if ledger.cut.count:
        message = f"no row fits into sequence_length = {ledger.sequence_length}: {ledger.cut}"
        return UserError(message, hint=f"set sequence_length = {ledger.saving_length}")
    return UserError("no trained token is left in the data", hint="mark some answers to be learnt")
