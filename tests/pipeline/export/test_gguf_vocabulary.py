"""Ids in llama.cpp are the ids of training, or the tokenizer is refused before any work."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFReader, TokenType

from tests.pipeline.export.helpers import STRANGE, backend_json, save_base, save_tokenizer
from workbench.core.errors import RunFailed, UserError
from workbench.pipeline.export import gguf_writer
from workbench.pipeline.export.gguf_logits import GgufLogits
from workbench.pipeline.export.plan import ExportPlan, plan_export
from workbench.pipeline.export.vocabulary import model_name
from workbench.pipeline.export.vocabulary_check import (
    Expected,
    Sample,
    VocabularyReport,
    check_vocabulary,
    expected_ids,
    hard_texts,
)
from workbench.pipeline.models.weights import Weights
from workbench.tokenization.pretokenizers import DEVIATIONS, PRETOKENIZERS, pretokenizer_name


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with rows enough for every tokenizer here."""
    folder = tmp_path_factory.mktemp("base")
    save_base(folder, "qwen2", hidden=16, layers=1)
    return folder


def planned(base: Path, tokenizer: Path, **settings: Any) -> ExportPlan:
    return plan_export(Weights(base), ["f16"], tokenizer, **settings)


def checked(plan: ExportPlan, *samples: Sample) -> VocabularyReport:
    """llama.cpp's ids of the plan's vocabulary beside those of its tokenizer."""
    return check_vocabulary(plan.vocabulary, expected_ids(plan.tokenizer, plan.vocabulary, samples))


def grown(base: Path, folder: Path, rows: int) -> Path:
    """The base with another number of embedding rows."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(base, folder)
    for path in folder.glob("model*.safetensors"):
        tensors = load_file(path)
        for name in tensors:
            if "embed_tokens" in name:
                tensors[name] = torch.zeros(rows, tensors[name].shape[1])
        save_file(tensors, path)
    return folder


@pytest.fixture(scope="module")
def wide(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with rows for larger vocabularies."""
    return grown(base, tmp_path_factory.mktemp("wide") / "base", 3100)


PIECES = ("pieces", "pieces-prefix", "pieces-first")


@pytest.mark.parametrize("kind", [*PRETOKENIZERS, *PIECES])
def test_ids_are_equal_on_every_probe(kind: str, wide: Path, tmp_path: Path) -> None:
    vocab = 600 if kind in PIECES else 1300
    plan = planned(wide, save_tokenizer(tmp_path / "tokenizer", kind, vocab))
    assert plan.vocabulary.pre == ("default" if kind in PIECES else kind)
    report = checked(plan)
    report.require()
    assert report.texts > 600
    assert plan.vocabulary.add_bos == (kind in PIECES)


@pytest.mark.parametrize("pre", DEVIATIONS)
def test_where_llama_cpp_only_comes_near_it_is_said(pre: str, wide: Path, tmp_path: Path) -> None:
    """What is left out does differ: when it no longer does, the deviation can go."""
    plan = planned(wide, save_tokenizer(tmp_path / "tokenizer", pre, 3000))
    assert any(DEVIATIONS[pre].words in warning for warning in plan.vocabulary.warnings)
    touched = [t for t in hard_texts(()) if any(map(DEVIATIONS[pre].touches, t))]
    samples = [Sample(t, plan.tokenizer.ids(t)) for t in touched]
    report = check_vocabulary(plan.vocabulary, Expected(tuple(samples), ()))
    assert 0 < len(report.mismatches) < len(samples)
    assert sum(checked(plan).known.values()) > 0


def test_another_spelling_of_the_same_split_is_known(wide: Path, tmp_path: Path) -> None:
    """As in Phi-4, OLMo and Granite 4: what does not match is removed, and there is no such."""
    backend = json.loads(backend_json("smaug-bpe"))
    steps = backend["pre_tokenizer"]["pretokenizers"]
    steps[0] |= {"behavior": "Removed", "invert": True}
    assert pretokenizer_name(backend) == "smaug-bpe"
    steps[0]["pattern"]["Regex"] = r"\p{N}"
    with pytest.raises(UserError, match="no pre-tokenizer"):
        pretokenizer_name(backend)


def test_a_space_before_the_first_word_only_is_said(wide: Path, tmp_path: Path) -> None:
    plan = planned(wide, save_tokenizer(tmp_path / "tokenizer", "pieces-first"))
    assert not plan.vocabulary.add_space_prefix
    (first,) = plan.vocabulary.differences
    assert first.without("Hello") == "<bos>Hello" and first.allowed == "any"
    assert any("starts without a special token" in warning for warning in plan.vocabulary.warnings)
    with pytest.raises(UserError, match="no BOS token"):
        bare = _edited(tmp_path / "bare", "pieces-first", post_processor=None)
        (bare / "tokenizer_config.json").write_text('{"eos_token": "<eos>"}')
        planned(wide, bare)


@pytest.mark.parametrize("wrong", ["gpt-2", "qwen2", "llama-bpe", "deepseek-llm", "default"])
def test_a_wrong_pretokenizer_is_found_out(wrong: str, base: Path, tmp_path: Path) -> None:
    plan = planned(base, save_tokenizer(tmp_path / "tokenizer", "smollm"))
    vocabulary = dataclasses.replace(plan.vocabulary, pre=wrong)
    plan = dataclasses.replace(plan, vocabulary=vocabulary)
    report = checked(plan)
    assert len(report.mismatches) > 20
    with pytest.raises(RunFailed, match=r"gives different ids on \d+ of \d+ texts") as caught:
        report.require()
    assert "\n" not in str(caught.value)


def test_constant_scores_are_found_out(wide: Path, tmp_path: Path) -> None:
    plan = planned(wide, save_tokenizer(tmp_path / "tokenizer", "pieces"))
    flat = dataclasses.replace(plan.vocabulary, scores=[-1000.0] * plan.vocabulary_size)
    plan = dataclasses.replace(plan, vocabulary=flat)
    assert checked(plan).mismatches


def _swapped(items: list[str], one: int, two: int) -> list[str]:
    changed = list(items)
    changed[one], changed[two] = changed[two], changed[one]
    return changed


def test_a_merge_out_of_order_or_a_changed_token_is_found_out(base: Path, tmp_path: Path) -> None:
    plan = planned(base, save_tokenizer(tmp_path / "tokenizer"))
    right = plan.vocabulary
    letter = right.tokens.index("a")
    for wrong in (
        {"merges": _swapped(right.merges, 0, len(right.merges) - 1)},
        {"merges": right.merges[1:]},
        {"tokens": _swapped(right.tokens, letter, letter + 1)},
    ):
        vocabulary = dataclasses.replace(right, **wrong)  # type: ignore[arg-type]
        other = dataclasses.replace(plan, vocabulary=vocabulary)
        assert checked(other).mismatches, list(wrong)


def test_a_sample_with_other_ids_is_found_out(base: Path, tmp_path: Path) -> None:
    plan = planned(base, save_tokenizer(tmp_path / "tokenizer"))
    text = "<|im_start|>user\nHello<|im_end|>\n"
    ids = plan.tokenizer.ids(text)
    assert not checked(plan, Sample(text, ids)).mismatches
    (mismatch,) = checked(plan, Sample(text, (*ids[:-1], 7))).mismatches
    assert mismatch.text == text and mismatch.got == ids


@pytest.mark.parametrize("kind", STRANGE)
def test_splits_without_an_equivalent_are_refused(kind: str, base: Path, tmp_path: Path) -> None:
    tokenizer = save_tokenizer(tmp_path / "tokenizer", kind)
    with pytest.raises(UserError, match="llama.cpp") as caught:
        planned(base, tokenizer)
    assert str(tokenizer / "tokenizer.json") in str(caught.value)


def _edited(folder: Path, kind: str = "gpt-2", **changes: Any) -> Path:
    save_tokenizer(folder, kind)
    values = json.loads(backend_json(kind))
    model = values["model"] | changes.pop("model", {})
    (folder / "tokenizer.json").write_text(json.dumps(values | changes | {"model": model}))
    return folder


CHANGES: list[tuple[str, dict[str, Any], str]] = [
    ("gpt-2", {"normalizer": {"type": "Lowercase"}}, "Lowercase"),
    ("gpt-2", {"model": {"type": "Unigram"}}, "Unigram"),
    ("gpt-2", {"model": {"end_of_word_suffix": "</w>"}}, "end_of_word_suffix"),
    ("gpt-2", {"model": {"vocab": {"a": 5000}}}, "5000 is beyond"),
    ("pieces", {"normalizer": None}, "no equivalent"),
]


@pytest.mark.parametrize(("kind", "changes", "said"), CHANGES)
def test_tokenizers_without_an_equivalent_are_refused(
    kind: str, changes: dict[str, Any], said: str, wide: Path, tmp_path: Path
) -> None:
    tokenizer = _edited(tmp_path / "tokenizer", kind, **changes)
    with pytest.raises(UserError, match=said):
        planned(wide, tokenizer)


def test_two_tokens_with_one_text_are_refused(base: Path, tmp_path: Path) -> None:
    """llama.cpp would end the whole process on them."""
    added = json.loads(backend_json())["added_tokens"]
    twin = {**added[0], "id": 300, "content": "<|im_end|>"}
    tokenizer = _edited(tmp_path / "tokenizer", added_tokens=[*added, twin])
    with pytest.raises(UserError, match="tokens 2 and 300 have the same text"):
        planned(base, tokenizer)


def test_tokens_that_differ_after_a_nul_are_refused(base: Path, tmp_path: Path) -> None:
    words = json.loads(backend_json())["model"]["vocab"]
    last = max(words.values())
    changed = {"vocab": words | {"x\0a": last + 1, "x\0b": last + 2}}
    tokenizer = _edited(tmp_path / "tokenizer", model=changed)
    with pytest.raises(UserError, match="have the same text"):
        planned(base, tokenizer)


def test_bos_and_eos_are_always_written(base: Path, tmp_path: Path) -> None:
    plan = planned(base, save_tokenizer(tmp_path / "tokenizer"))
    path = tmp_path / "vocabulary.gguf"
    gguf_writer.write_vocabulary_file(plan.vocabulary, path)
    fields = GGUFReader(path).fields
    names = ("bos_token_id", "eos_token_id", "add_bos_token", "add_eos_token")
    assert [fields[f"tokenizer.ggml.{n}"].contents() for n in names] == [2, 2, False, False]
    with GgufLogits(path) as native:
        assert native.ids("Hello", add_special=True) == native.ids("Hello")


def test_a_tokenizer_without_an_end_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no end-of-sequence token"):
        planned(base, save_tokenizer(tmp_path / "tokenizer", eos_token=None))


def test_a_name_decides_whether_special_tokens_strip_spaces(base: Path, tmp_path: Path) -> None:
    """llama.cpp goes by the model's name alone, and cannot load one named so without the tokens."""
    texts = ("<unk>", "<s>", "</s>", "<|endoftext|>", "<|im_end|>")
    words = json.loads(backend_json())["model"]["vocab"]
    last = max(words.values())
    ids = {text: words.get(text, last + i) for i, text in enumerate(texts, 1)}
    added = [
        {"id": i, "content": text, "special": True, "normalized": False, "single_word": False}
        | {"lstrip": False, "rstrip": text in ("</s>", "<|im_end|>")}
        for text, i in ids.items()
    ]
    stripping = _edited(tmp_path / "strips", added_tokens=added)
    for name in ("mine", "my-phi3", "Phi-3 of mine"):
        plan = planned(base, stripping, name=name)
        checked(plan).require()
        plain = planned(base, save_tokenizer(tmp_path / "plain"), name=name)
        checked(plain).require()
    assert model_name("my-Phi3", plain.vocabulary) == "my-Phi 3"
    assert model_name("mine", plain.vocabulary) == "mine"
    assert model_name("mine", plan.vocabulary) == "mine (phi-3)"
    assert model_name("my-Phi3", plan.vocabulary) == "my-Phi3"


def test_stripping_that_llama_cpp_does_not_know_is_said(base: Path, tmp_path: Path) -> None:
    added = json.loads(backend_json())["added_tokens"]
    added[1]["rstrip"] = True
    plan = planned(base, _edited(tmp_path / "tokenizer", added_tokens=added))
    assert any("spaces after '<|im_start|>'" in warning for warning in plan.vocabulary.warnings)
    checked(plan).require()


def test_rows_beyond_the_tokens_are_padded(base: Path, tmp_path: Path) -> None:
    vocabulary = planned(base, save_tokenizer(tmp_path / "tokenizer")).vocabulary
    assert vocabulary.tokens[-1].startswith("[PAD") and vocabulary.types[-1] == TokenType.UNUSED
    assert len(set(vocabulary.tokens)) == len(vocabulary.tokens)


def test_the_end_of_a_turn_gets_its_key(base: Path, tmp_path: Path) -> None:
    tokenizer = save_tokenizer(tmp_path / "tokenizer", eos_token="<|endoftext|>")
    assert planned(base, tokenizer, end_of_turn="<|im_end|>").vocabulary.special["eot"] == 2
    assert "eot" not in planned(base, tokenizer, end_of_turn="<|endoftext|>").vocabulary.special
    with pytest.raises(UserError, match="is not a special token"):
        planned(base, tokenizer, end_of_turn="<end>")


def test_composing_is_said(base: Path, tmp_path: Path) -> None:
    plan = planned(base, _edited(tmp_path / "tokenizer", normalizer={"type": "NFC"}))
    assert any("NFC" in warning for warning in plan.vocabulary.warnings)
    checked(plan).require()


def test_truncation_in_the_file_does_not_cut_probes(base: Path, tmp_path: Path) -> None:
    cut = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    plan = planned(base, _edited(tmp_path / "tokenizer", truncation=cut))
    checked(plan).require()
