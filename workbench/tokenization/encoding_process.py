"""A process that encodes batches of rows for another.

`python -m workbench.tokenization.encoding_process`.

It is told an `Encoder`, then one batch after the other, and answers each; all of it pickled, over
its standard input and output. It ends when its input does, so none outlives the process it helps.
Rows and sequences travel as plain tuples, ids as bytes: their places stay where they are known.
"""

from __future__ import annotations

import os
import pickle
import sys
from array import array
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from operator import attrgetter
from typing import IO, Any

from workbench.dataset.rows import Fault, Message, Place, Row
from workbench.tokenization.encoder import Encoder
from workbench.tokenization.sequences import TYPE, EncodedRow, TrainingSequence

PIPE_BYTES = 1 << 20  # of each pipe, where the system allows that
LENGTH_BYTES = 8
NOWHERE = Place("", 0)
Packed = tuple[Any, ...]
_message = attrgetter(*Message.__dataclass_fields__)
_facts = attrgetter("cut", "lost_stop", "retokenized", "special_in_text", "length")


def send(what: Any, file: IO[bytes]) -> None:
    """Write one message."""
    message = pickle.dumps(what, pickle.HIGHEST_PROTOCOL)
    file.write(len(message).to_bytes(LENGTH_BYTES, "little"))
    file.write(message)
    file.flush()


def receive(file: IO[bytes]) -> Any:
    """The next message; EOFError where there is none, or not all of it.

    Read in as few pieces as the pipe allows: after each, a thread waits its turn in this process.
    """
    n_bytes = int.from_bytes(file.read(LENGTH_BYTES), "little")
    message = file.read(n_bytes)
    if not message or len(message) < n_bytes:
        raise EOFError
    return pickle.loads(message)


def pack_rows(rows: Iterable[Row]) -> list[Packed]:
    """Of each row all that encoding looks at."""
    return [([_message(m) for m in row.messages], row.text, row.tools) for row in rows]


def unpack_rows(packed: Iterable[Packed]) -> list[Row]:
    """The rows that were packed, without their places."""
    return [
        Row(NOWHERE, tuple(Message(*one) for one in messages), text, tools=tools)
        for messages, text, tools in packed
    ]


def pack_tokens(found: Iterable[EncodedRow]) -> list[Packed]:
    """What became of each row."""
    return [
        (
            [
                (part.ids.tobytes(), part.trained, *_facts(part))
                if isinstance(part, TrainingSequence)
                else part
                for part in one.parts
            ],
            one.by_turn,
        )
        for one in found
    ]


def unpack_tokens(packed: Iterable[Packed], rows: Sequence[Row]) -> list[EncodedRow]:
    """What became of each of the rows, at its place."""
    return [
        EncodedRow(row, [_part(part, row.place) for part in parts], by_turn)
        for row, (parts, by_turn) in zip(rows, packed, strict=True)
    ]


def _part(part: Packed | Fault, place: Place) -> TrainingSequence | Fault:
    if isinstance(part, Fault):
        return replace(part, place=place)
    ids, trained, *facts = part
    return TrainingSequence(array(TYPE, ids), trained, place, *facts)


def main() -> None:
    """Answer until nothing more is asked; what goes wrong ends the process, and is seen by that."""
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed goes to the log, not among the answers
    with suppress(EOFError, BrokenPipeError):
        encoder: Encoder = receive(asked)
        send(None, answers)
        while True:
            rows = unpack_rows(receive(asked))
            send(pack_tokens(encoder.encode(rows)), answers)


if __name__ == "__main__":
    main()
