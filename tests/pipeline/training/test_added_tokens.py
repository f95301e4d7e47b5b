"""Tokens added to the vocabulary: one id each in the data, rows that are trained, and kept."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests import tiny
from tests.pipeline.training.helpers import Bench, Row, rows, stage_settings
from tests.pipeline.training.test_stage import After, losses
from workbench.core import files
from workbench.core.errors import Interrupted
from workbench.pipeline.models.tokenizer_loading import load_tokenizer
from workbench.pipeline.training.model import resize_embeddings
from workbench.pipeline.training.token_dataset import TokenDataset
from workbench.preset.schema import Model

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning"),
]

ADDED = ["<think>", "</think>"]
SIZE = 384
MODEL = Model.model_validate({"device": "cpu", "added_tokens": ADDED})


def grown() -> Any:
    tokenizer = copy.deepcopy(tiny.tokenizer())
    tokenizer.add_tokens(ADDED)
    return tokenizer


@pytest.fixture(params=["llama", "qwen2"])  # a head of its own, and a tied one
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    made = Bench(tmp_path, request.param)
    thinking = Row([5, 6, SIZE, 7, 8, SIZE + 1, 9, 10, 2], [False] * 2 + [True] * 7)
    TokenDataset.of([*rows(20), *[thinking] * 10]).save(made.train_file)
    return made


def train(bench: Bench, name: str = "run", **options: Any) -> tuple[Any, Any]:
    return bench.train(name, model=MODEL, tokenizer=grown(), **options)


def token_rows(path: Path) -> dict[str, torch.Tensor]:
    found = load_file(path)
    return {name: tensor for name, tensor in found.items() if "trainable_tokens" in name}


def test_an_added_token_is_one_token_wherever_its_text_stands(tmp_path: Path) -> None:
    base = tiny.save_base(tmp_path / "base")
    tokenizer = load_tokenizer(base, [*ADDED, "<|im_end|>"])
    assert len(tokenizer) == SIZE + 2, "what the base has already is not added"
    ids = tokenizer.encode("ab<think>c</think>", add_special_tokens=False)
    assert ids.count(SIZE) == 1 and ids[-1] == SIZE + 1
    assert "<think>" not in tokenizer.all_special_tokens
    assert tokenizer.decode([SIZE], skip_special_tokens=True) == "<think>"


def test_new_rows_are_the_mean_of_the_others() -> None:
    for kind in ("llama", "qwen2"):
        model = tiny.model(kind)
        before = model.get_input_embeddings().weight.clone()
        resize_embeddings(model, SIZE + 2)
        resize_embeddings(model, SIZE)  # never shrunk
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
            assert layer.weight.shape[0] == SIZE + 2
        after = model.get_input_embeddings().weight
        assert torch.equal(after[:SIZE], before)
        assert torch.allclose(after[SIZE:], before.mean(0).expand(2, -1))


def test_their_rows_are_trained_and_nothing_else_of_the_embedding(bench: Bench) -> None:
    result, told = train(bench)
    found = load_file(bench.adapter())
    trained = token_rows(bench.adapter())
    assert len(trained) == 2, "the embedding's and the head's"
    tied = "qwen2" in (bench.base / "config.json").read_text()
    assert torch.equal(*trained.values()) == tied
    base = load_file(bench.base / "model.safetensors")["model.embed_tokens.weight"]
    delta = next(tensor for name, tensor in trained.items() if "embed_tokens" in name)
    assert delta.shape == (2, 64) and not torch.allclose(delta, base.mean(0).expand(2, -1))
    (kept,) = [t for name, t in found.items() if "embed_tokens" in name and len(t) == SIZE + 2]
    assert torch.equal(kept[:SIZE], base)
    assert losses(told)[-1] < losses(told)[0]


def test_resumed_the_bits_are_the_same(bench: Bench) -> None:
    train(bench, "whole")
    with pytest.raises(Interrupted):
        train(bench, "stopped", should_stop=After(5))
    train(bench, "stopped")
    assert files.sha256(bench.adapter("stopped")) == files.sha256(bench.adapter("whole"))


@pytest.mark.parametrize("how", ["new", "carry"])
def test_a_second_stage_goes_on_from_their_rows(bench: Bench, how: str) -> None:
    first, told = train(bench, settings=stage_settings(name="one"))
    second = stage_settings(name="two", adapter={"continue": how}, learning_rate=1e-9)
    result, after = train(bench, settings=second, weights=first.take("last"))
    assert losses(after)[0] < losses(told)[0]
    ours = token_rows(bench.adapter("run", "final", "two"))
    theirs = token_rows(bench.adapter("run", "final", "one"))
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.allclose(tensor, theirs[name], atol=1e-6)


def test_full_training_saves_them_with_the_model(bench: Bench) -> None:
    stage = stage_settings(adapter={"kind": "full"}, learning_rate=1e-3)
    result, _ = train(bench, settings=stage)
    saved = load_file(result.weights.base / "model.safetensors")
    assert saved["model.embed_tokens.weight"].shape[0] == SIZE + 2
    assert len(load_tokenizer(result.weights.base)) == SIZE + 2
