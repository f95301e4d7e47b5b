"""What llama.cpp cannot do as training did is named and counted; all else is equal."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import TokenType

from tests.pipeline.export.helpers import save_tokenizer
from tests.pipeline.export.real_kinds import BEYOND, KINDS, save_kind
from workbench.core.errors import RunFailed
from workbench.pipeline.export import native_ids
from workbench.pipeline.export.differences import Difference, without_differences
from workbench.pipeline.export.gguf_vocabulary import read_vocabulary, tokenizer_vocabulary
from workbench.pipeline.export.native_ids import Request, vocabulary_ids
from workbench.pipeline.export.tokenizer_files import TokenizerFiles, read_tokenizer
from workbench.pipeline.export.vocabulary import Vocabulary
from workbench.pipeline.export.vocabulary_check import (
    VocabularyReport,
    check_vocabulary,
    expected_ids,
)


def opened(folder: Path, kind: str) -> tuple[TokenizerFiles, Vocabulary]:
    files = read_tokenizer(save_kind(folder / kind, kind))
    rows = files.highest_id + (0 if kind == "gemma" else 1)
    return files, read_vocabulary(files, rows, config={"bos_token_id": 1})


def checked(files: TokenizerFiles, vocabulary: Vocabulary) -> VocabularyReport:
    return check_vocabulary(vocabulary, expected_ids(files, vocabulary))


WARNED = {
    "qwen": ["does not compose", "reads '</s>' as a special token"],
    "gemma": [f"none for '{BEYOND}'", "ends a response at '</s>'", "written as U+2581"],
    "deepseek": [],
    "phi3": ["drops spaces of ASCII only"],
    "phi3-added": ["drops spaces after '<tool>'"],
    "phi4": ["does not drop spaces before and after '<|im_end|>'"],
    "legacy": ["adds a space before a text that starts with one"],
}
COUNTED = ("qwen", "gemma", "phi3-added", "phi4", "legacy")


@pytest.mark.parametrize("kind", KINDS)
def test_tokenizers_like_real_ones_are_equal_but_for_what_is_named(
    kind: str, tmp_path: Path
) -> None:
    files, vocabulary = opened(tmp_path, kind)
    report = checked(files, vocabulary)
    assert report.mismatches == () and report.texts > 600
    assert len(vocabulary.warnings) == len(WARNED[kind]), vocabulary.warnings
    for said, expected in zip(vocabulary.warnings, WARNED[kind], strict=True):
        assert expected in said
    assert bool(report.known) == (kind in COUNTED)
    assert set(report.known) <= set(vocabulary.warnings)


def test_a_difference_that_is_not_named_is_a_mismatch(tmp_path: Path) -> None:
    """The names are what makes the real ones pass: without them each is found."""
    for kind in COUNTED:
        files, vocabulary = opened(tmp_path, kind)
        vocabulary = Vocabulary(**{**vars(vocabulary), "differences": ()})
        assert checked(files, vocabulary).mismatches, kind


def test_texts_with_a_difference_really_differ(tmp_path: Path) -> None:
    files, vocabulary = opened(tmp_path, "qwen")
    composing, special = vocabulary.differences
    for difference, text in ((composing, "e\u0301te\u0301"), (special, "a </s> b")):
        assert difference.touches(text) and difference.in_message(text)
        plain = difference.without(text)
        assert not difference.touches(plain)
        got = vocabulary_ids(vocabulary, [Request(text), Request(plain)])
        assert [ids == files.ids(t) for ids, t in zip(got, (text, plain), strict=True)] == [0, 1]
    assert not composing.touches("été") and not special.touches("<s>")


@pytest.mark.parametrize(
    ("kind", "touching", "ordinary"),
    [
        ("phi4", "<|im_start|> user", "<|im_start|>user x<|im_end|>"),
        ("phi4", "user \n<|im_end|>", "a <b> c"),
        ("phi3-added", "<tool> x", "<tool>x"),
        ("phi3", "<|user|>\u00a0x", "<|user|> x"),
        ("legacy", " x", "x  y"),
        ("legacy", "a<bos> x", "a<bos>x"),
        ("gemma", "a\u2581b", "a  b"),
    ],
)
def test_kinds_of_text(kind: str, touching: str, ordinary: str, tmp_path: Path) -> None:
    _, vocabulary = opened(tmp_path, kind)
    kinds: list[Difference] = [one for one in vocabulary.differences if not one.ids_equal]
    assert any(one.touches(touching) for one in kinds)
    assert not any(one.touches(ordinary) for one in kinds)
    assert not any(one.touches(without_differences(touching, kinds)) for one in kinds)


def test_types_are_those_of_llama_cpps_converter(tmp_path: Path) -> None:
    _, gemma = opened(tmp_path, "gemma")
    kinds = dict(zip(gemma.tokens, gemma.types, strict=True))
    assert kinds["<unused0>"] == TokenType.CONTROL
    assert kinds["  "] == kinds["</s>"] == kinds["[multimodal]"] == TokenType.USER_DEFINED
    assert BEYOND not in kinds and BEYOND not in gemma.added
    _, deepseek = opened(tmp_path, "deepseek")
    kinds = dict(zip(deepseek.tokens, deepseek.types, strict=True))
    assert kinds["<｜fim▁hole｜>"] == TokenType.CONTROL


def test_bos_of_the_configuration_counts_where_the_tokenizer_has_none(tmp_path: Path) -> None:
    _, qwen = opened(tmp_path, "qwen")
    assert qwen.special["bos"] == 1 and not qwen.has_bos and not qwen.add_bos
    files = read_tokenizer(save_tokenizer(tmp_path / "plain"))
    for config in ({}, {"bos_token_id": None}, {"bos_token_id": 10**6}):
        assert read_vocabulary(files, 700, config=config).special["bos"] == 2, "as EOS"
    files = read_tokenizer(save_tokenizer(tmp_path / "unpadded", pad_token=None))
    assert "pad" not in read_vocabulary(files, 700).special
    assert read_vocabulary(files, 700, config={"pad_token_id": 5}).special["pad"] == 5


def test_an_added_token_keeps_the_rule_of_phi3(tmp_path: Path) -> None:
    for kind in ("phi3", "phi3-added"):
        assert opened(tmp_path, kind)[1].phi3
    assert not opened(tmp_path, "phi4")[1].phi3
    assert not tokenizer_vocabulary(save_tokenizer(tmp_path / "pieces", "pieces")).phi3


def test_what_aborts_llama_cpp_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary = tokenizer_vocabulary(save_tokenizer(tmp_path / "tokenizer"))
    twice = [*vocabulary.tokens[:-1], vocabulary.tokens[5]]
    broken = Vocabulary(**{**vars(vocabulary), "tokens": twice})
    with pytest.raises(RunFailed, match="llama.cpp cannot read this vocabulary") as caught:
        vocabulary_ids(broken, [Request("a")])
    assert "\n" not in str(caught.value)
    unknown = Vocabulary(**{**vars(vocabulary), "pre": "novel"})
    with pytest.raises(RunFailed, match="llama.cpp cannot load it"):
        vocabulary_ids(unknown, [Request("a")])
    monkeypatch.setattr(native_ids, "TEXTS_PER_LINE", 2)
    texts = ["a", "b c", "", "d" * 50, "\0"]
    backend = read_tokenizer(tmp_path / "tokenizer")
    got = vocabulary_ids(vocabulary, [Request(text) for text in texts])
    assert got[:4] == [backend.ids(text) for text in texts[:4]]
