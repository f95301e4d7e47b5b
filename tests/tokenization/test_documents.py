"""Documents: every token is trained exactly once, and the separator ends each of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dataset.helpers import byte_level
from workbench.dataset.rows import Place, Row
from workbench.tokenization.documents import encode_document, encode_documents
from workbench.tokenization.encoder import Encoder
from workbench.tokenization.sequences import TrainingSequence


def document(text: str) -> Row:
    return Row(Place("book.txt", 1), text=text)


@settings(max_examples=40, deadline=None)
@given(
    text=st.text(st.characters(codec="utf-8"), min_size=1, max_size=200), length=st.integers(8, 40)
)
def test_a_document_is_predicted_token_by_token_exactly_once(text: str, length: int) -> None:
    tokenizer = byte_level()
    blocks = encode_document(document(text), tokenizer, length, 4)
    assert all(len(block.ids) <= length for block in blocks)
    joined = [*blocks[0].ids, *(i for block in blocks[1:] for i in block.ids[1:])]
    assert tokenizer.decode(joined) == text + "<eos>"
    assert sum(block.n_trained for block in blocks) == len(joined) - 1
    assert all(b.ids[0] == a.ids[-1] for a, b in zip(blocks, blocks[1:], strict=False))


def test_a_control_token_in_a_document_stays_text() -> None:
    tokenizer = byte_level()
    (block,) = encode_document(document("a <eos> b"), tokenizer, 100, 4)
    assert block.ids.count(4) == 1 and block.special_in_text


def test_a_document_begins_with_bos_if_the_model_expects_it() -> None:
    tokenizer = byte_level("<bos>")
    (block,) = encode_document(document("a"), tokenizer, 8, 4)
    assert block.ids[0] == tokenizer.bos_id and list(block.ids).count(4) == 1


def test_a_stage_gets_each_document_in_blocks_of_its_sequence_length() -> None:
    rows = [document("a document " * 40), document("short"), document("again " * 30)]
    encoder = Encoder(encode_documents, byte_level(), None, 64, (), 4)
    found = list(encoder.encode(rows))
    assert [one.row for one in found] == rows and not any(one.by_turn for one in found)
    for one in found:
        assert one.parts == encode_document(one.row, encoder.tokenizer, 64, 4)
    lengths = [[len(p.ids) for p in one.parts if isinstance(p, TrainingSequence)] for one in found]
    assert set(lengths[0][:-1]) == {64} and [len(one) for one in lengths][1] == 1
    with pytest.raises(AssertionError, match="documents need a separator"):
        list(replace(encoder, separator_id=None).encode(rows))
