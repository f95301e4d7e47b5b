"""Documents of raw text become sequences of token ids, all of them trained."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

from workbench.dataset.rows import Row
from workbench.tokenization.control_tokens import bos_before, encode_pieces, mark_control_tokens
from workbench.tokenization.encoder import Encoder, Tokenize
from workbench.tokenization.sequences import TYPE, EncodedRow, TrainingSequence
from workbench.tokenization.tokenizer import Tokenizer


def encode_documents(
    rows: Sequence[Row], encoder: Encoder, tokenize: Tokenize
) -> Iterator[EncodedRow]:
    """The sequences of each document, in order; `encoder` needs a separator. See `EncodeRows`.

    Tokenized one by one: a document is as long as a batch of conversations.
    """
    assert encoder.separator_id is not None, "documents need a separator"
    length, separator_id = encoder.sequence_length, encoder.separator_id
    for row in rows:
        yield EncodedRow(row, [*encode_document(row, encoder.tokenizer, length, separator_id)])


def encode_document(
    row: Row, tokenizer: Tokenizer, sequence_length: int, separator_id: int
) -> list[TrainingSequence]:
    """The document as sequences of at most `sequence_length` ids, all of them trained.

    The separator ends the document. A sequence after the first begins with the last id of the one
    before, as context: that one is not trained again, and so each id is predicted exactly once.
    Control tokens' names in the document stay text.
    """
    cut, mark = mark_control_tokens(row, tokenizer.special_pattern)
    said, _ = encode_pieces(cut.text, mark, tokenizer)
    ids = array(TYPE, [*bos_before(said, tokenizer), *said, separator_id])
    step = sequence_length - 1
    blocks = []
    for start in range(0, max(1, len(ids) - 1), step):
        block = ids[start : start + sequence_length]
        trained = bytes([start == 0]) + b"\1" * (len(block) - 1)
        blocks.append(
            TrainingSequence(
                block, trained, row.place, special_in_text=bool(mark), length=len(block)
            )
        )
    return blocks
