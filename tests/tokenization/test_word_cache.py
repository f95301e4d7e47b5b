"""Words remembered: the ids are the tokenizer's own, for every cut that is known and any text."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from tests.dataset.helpers import SPECIAL, TEXTS, metaspace
from workbench.tokenization import word_cache
from workbench.tokenization.tokenizer import from_backend
from workbench.tokenization.word_cache import WordCache, build_word_cache

CONTRACTED = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SETTLED = [
    *map(chr, range(0x17F)),
    *(chr(n) for n in range(0x2000, 0x2600) if word_cache._SETTLED.fullmatch(chr(n))),
]
PIECES = [
    *SPECIAL,
    "'s",
    "'LL",
    "  ",
    "\r\n",
    "\n\n",
    " the",
    "12345",
    "<|im_",
    "日本",
    "e\u0301",
    "🦊",
]
ANY = st.text(st.one_of(st.sampled_from(SETTLED), st.characters(codec="utf-8")), max_size=40)
MIXED = st.lists(st.one_of(st.sampled_from(PIECES), ANY), max_size=12).map("".join)


def split_by(pattern: str, how: str = "isolated", invert: bool = False) -> Any:
    cut = pre_tokenizers.Split(Regex(pattern), how, invert)
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([cut, bytes_of])


def digits_apart() -> pre_tokenizers.PreTokenizer:
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])


CUTS: dict[str, Callable[[], pre_tokenizers.PreTokenizer]] = {
    "gpt2": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False),
    "smollm": digits_apart,
    "qwen": lambda: split_by(CONTRACTED + REST),
    "llama3": lambda: split_by(CONTRACTED + "{1,3}" + REST),
    "phi4": lambda: split_by(CONTRACTED + "{1,3}" + REST, "removed", True),
}


@cache
def tokenizer(cut: str) -> Tokenizer:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = CUTS[cut]()
    backend.normalizer = normalizers.NFC() if cut == "qwen" else None
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([*TEXTS, "1234 in 2024\n\n\n  it's we'll größer"] * 4, trainer)
    return backend


def ids_of(memory: WordCache, text: str) -> list[int]:
    ids = memory.encode(text)
    assert ids is not None, "every character is settled"
    return ids.tolist()


@pytest.mark.parametrize("cut", CUTS)
@settings(max_examples=300, deadline=None)
@given(texts=st.lists(MIXED, max_size=4))
def test_the_ids_are_the_tokenizers_own(cut: str, texts: list[str]) -> None:
    backend = tokenizer(cut)
    found = from_backend(backend)
    assert found._words is not None
    for _ in range(2):  # the second time, all words are known
        assert [one.tolist() for one in found.encode_batch(texts)] == [
            backend.encode(text, add_special_tokens=False).ids for text in texts
        ]


@pytest.mark.parametrize("cut", CUTS)
def test_every_settled_character_is_cut_as_the_tokenizer_cuts_it(cut: str) -> None:
    backend = tokenizer(cut)
    memory = build_word_cache(backend)
    assert memory is not None
    for one in SETTLED:
        for text in (one, f"a{one}b", f" {one}{one} 1{one}2", f"'{one} {one}\n", f"{one}é  {one}"):
            assert ids_of(memory, text) == backend.encode(text, add_special_tokens=False).ids


def test_the_memory_is_bounded_and_right_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_cache, "REMEMBERED", 3)
    backend = tokenizer("qwen")
    memory = build_word_cache(backend)
    assert memory is not None
    text = "one two three four five six " + "long" * 100
    for _ in range(2):
        assert ids_of(memory, text) == backend.encode(text, add_special_tokens=False).ids
    assert len(memory._known) == 3


def changed(change: Callable[[Tokenizer], None]) -> Tokenizer:
    backend = Tokenizer.from_str(tokenizer("qwen").to_str())
    change(backend)
    return backend


def with_other_cut(backend: Tokenizer) -> None:
    backend.pre_tokenizer = split_by(CONTRACTED + "+" + REST)


def with_words_removed(backend: Tokenizer) -> None:
    backend.pre_tokenizer = split_by(CONTRACTED + REST, "removed")


def with_prefix(backend: Tokenizer) -> None:
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)


def with_normalizer(backend: Tokenizer) -> None:
    backend.normalizer = normalizers.Lowercase()


def with_greedy_token(backend: Tokenizer) -> None:
    backend.add_special_tokens([AddedToken("<mask>", lstrip=True)])


def with_normalized_token(backend: Tokenizer) -> None:
    backend.add_tokens([AddedToken("<call>", normalized=True)])


def with_dropout(backend: Tokenizer) -> None:
    backend.model.dropout = 0.5


def with_names_as_text(backend: Tokenizer) -> None:
    backend.encode_special_tokens = True


@pytest.mark.parametrize(
    "change",
    [
        with_other_cut,
        with_words_removed,
        with_prefix,
        with_normalizer,
        with_greedy_token,
        with_normalized_token,
        with_dropout,
        with_names_as_text,
    ],
)
def test_a_tokenizer_that_does_more_is_left_alone(change: Callable[[Tokenizer], None]) -> None:
    assert build_word_cache(changed(lambda _: None)) is not None, "the control"
    assert build_word_cache(changed(change)) is None


def test_a_tokenizer_of_another_kind_is_left_alone() -> None:
    assert metaspace()._words is None
