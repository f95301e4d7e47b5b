"""The harness of real bases: what it reads, writes and lets pass, without a registry."""

from __future__ import annotations

import json

from tokenizers import Tokenizer

from benchmarks.real_bases_folder import all_facts, shrunk
from benchmarks.real_bases_listed import unlisted
from benchmarks.real_bases_pieces import BYTE, CONTROL, UNKNOWN, Piece, read_pieces, write_pieces
from benchmarks.real_bases_reference import Compared
from benchmarks.real_bases_vocabulary import of_pieces

PIECES = [
    Piece("<unk>", 0.0, UNKNOWN),
    Piece("<s>", 0.0, CONTROL),
    Piece("<0x41>", 0.0, BYTE),
    Piece("\u2581a", -1.0),
    Piece("bc", -2.0),
    *(Piece(letter, -9.0) for letter in ("\u2581", "a", "b", "c")),
]


def test_pieces_come_back_as_they_were_written() -> None:
    assert read_pieces(write_pieces(PIECES, add_dummy_prefix=True)) == PIECES


def test_merges_follow_the_scores() -> None:
    backend = of_pieces(PIECES, "always")
    assert backend["model"]["merges"] == [("\u2581", "a"), ("b", "c")]
    encoded = Tokenizer.from_str(json.dumps(backend)).encode("abc", add_special_tokens=False)
    assert encoded.tokens == ["\u2581a", "bc"]


def test_at_least_twenty_bases_keep_their_heads_when_shrunk() -> None:
    bases = all_facts()
    assert len(bases) >= 20
    small = shrunk(bases["llama-3.2-1b-instruct"]["config"], 2)
    assert (small["num_attention_heads"], small["num_key_value_heads"]) == (4, 1)
    assert small["hidden_size"] == 256 and small["rope_scaling"]["factor"] == 32.0


def test_only_what_is_listed_may_differ() -> None:
    keys = {"llama.vocab_size": "none / 7", "tokenizer.ggml.bos_token_id": "1 / 2"}
    compared = Compared(same=1, others=["output.weight: not in the reference"], keys=keys)
    tensors, left, listed = unlisted({"name": "llama"}, compared)
    assert tensors == compared.others
    assert list(left) == ["tokenizer.ggml.bos_token_id"]
    assert listed and listed[0].startswith("llama.vocab_size: ")
