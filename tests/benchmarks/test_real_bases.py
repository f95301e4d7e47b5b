"""The harness of real bases: what it reads, writes and lets pass, without a registry."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFWriter
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from benchmarks import real_bases_run
from benchmarks.real_bases_checks import faults_of_run
from benchmarks.real_bases_folder import all_facts, shrunk
from benchmarks.real_bases_ids import JOINED, joined, judge_ids
from benchmarks.real_bases_listed import unlisted
from benchmarks.real_bases_pieces import BYTE, CONTROL, UNKNOWN, Piece, read_pieces, write_pieces
from benchmarks.real_bases_reference import compare_files, on_a_grid, other_tensors
from benchmarks.real_bases_vocabulary import of_pieces
from workbench.pipeline.export.vocabulary_check import HARD

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
    left, listed = unlisted({"name": "llama"}, keys)
    assert list(left) == ["tokenizer.ggml.bos_token_id"]
    assert listed and listed[0].startswith("llama.vocab_size: ")


FIRST = {
    "model": {"byte_fallback": True, "vocab": {}},
    "normalizer": None,
    "pre_tokenizer": {"type": "Metaspace", "prepend_scheme": "first"},
    "added_tokens": [{"content": "<s>", "lstrip": False, "rstrip": False}],
}


def _letters(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def _with_space(text: str) -> list[int]:
    """As a tokenizer that puts a space before the first word does."""
    return _letters(text if text.startswith(("<s>", " ")) else f" {text}")


def test_one_space_before_the_first_word_is_all_that_its_reason_explains() -> None:
    found = judge_ids(["a b", " a", "<s>a"], _with_space, _letters, FIRST, "default")
    assert found.explained == {"llama.cpp adds a space before every text or none": 1}
    assert not found.others and found.texts == 3
    loses_b = judge_ids(["a b"], _with_space, lambda t: _letters(t.replace("b", "")), FIRST, "")
    assert not loses_b.explained and loses_b.others == ["'a b'"]


def test_reasons_are_joined_where_one_alone_does_not_explain() -> None:
    text = "e\u0301 \u2581x"
    composing = FIRST | {"normalizer": {"type": "NFC"}, "pre_tokenizer": None}

    def published(text: str) -> list[int]:
        return _letters(text.replace("e\u0301", "\xe9"))

    found = judge_ids(
        [text], published, lambda t: _letters(t.replace("\u2581", " ")), composing, "default"
    )
    assert list(found.explained) == [
        "llama.cpp composes no characters (NFC) and llama.cpp takes a literal U+2581 for a space"
    ]


def test_joined_texts_are_the_same_every_time() -> None:
    assert list(joined(HARD)) == list(joined(HARD)) and len(list(joined(HARD))) == JOINED


def _gguf(path: Path, values: np.ndarray, context: int) -> Path:
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(context)
    writer.add_tensor("output.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(("change", "same"), [(0.0, True), (0.5, False)])
def test_files_are_compared_byte_for_byte(change: float, same: bool, tmp_path: Path) -> None:
    values = np.ones((2, 4), dtype=np.float16)
    ours = _gguf(tmp_path / "ours.gguf", values, 8)
    values[1, 1] += change
    found = compare_files(ours, _gguf(tmp_path / "theirs.gguf", values, 9), ours)
    assert found.same == same and bool(found.others) != same
    assert found.keys == {"llama.context_length": "8 / 9"}


def test_merged_weights_are_the_reference_in_their_own_format(tmp_path: Path) -> None:
    exact = torch.tensor([1.0, 1.001])
    for name, tensor in (("theirs", exact), ("ours", exact.bfloat16()), ("bad", -exact.bfloat16())):
        (tmp_path / name).mkdir()
        save_file({"a": tensor}, tmp_path / name / "model.safetensors")
    assert other_tensors(tmp_path / "ours", tmp_path / "theirs") == []
    assert other_tensors(tmp_path / "bad", tmp_path / "theirs") == ["a: 2 of 2 elements differ"]


def test_sums_of_products_on_the_grid_are_exact(tmp_path: Path) -> None:
    torch.manual_seed(0)
    factors = {"lora_A": torch.randn(16, 64) * 0.03, "lora_B": torch.randn(32, 16) * 0.2}
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "adapter_config.json").write_text("{}")
    save_file(factors, tmp_path / "trained" / "adapter_model.safetensors")
    made = on_a_grid(tmp_path / "trained", tmp_path / "made")
    a, b = (load_file(made / "adapter_model.safetensors")[name] for name in ("lora_A", "lora_B"))
    assert (a - factors["lora_A"]).abs().max() < 0.001
    exact = b.double() @ a.double()
    assert torch.equal((b @ a).double(), exact)
    assert torch.equal((b.flip(1) @ a.flip(0)).double(), exact)


def test_a_run_that_takes_too_long_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = list[str]()

    def workbench(work: Path, *words: str) -> None:
        called.append(words[0])
        if words[0] == "--preset":
            raise subprocess.TimeoutExpired("workbench", 900)

    monkeypatch.setattr(real_bases_run, "_workbench", workbench)
    ran = real_bases_run.run_workbench(tmp_path / "base", tmp_path)
    assert called == ["--preset", "stop"]
    assert faults_of_run(ran) == {"run": "end: exit status 124: not done after 900 s"}
