"""Weights read while modules are imported: the same model, and nothing read otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, Qwen2MoeConfig

from tests import tiny
from workbench.bases.listing import INDEX, SINGLE
from workbench.core.errors import UserError
from workbench.pipeline.export.safetensors_reader import SafetensorsFolder
from workbench.pipeline.models.causal_lm import load_causal
from workbench.pipeline.models.weights import Weights
from workbench.pipeline.training import weight_prefetch
from workbench.pipeline.training.model import load
from workbench.pipeline.training.weight_prefetch import prefetch_weights

CPU, FLOAT32 = torch.device("cpu"), torch.float32


def loaded(base: Path, prefetch: weight_prefetch.WeightPrefetch | None = None) -> dict[str, Tensor]:
    model = load(Weights(base), device=CPU, dtype=FLOAT32, prefetch=prefetch)
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def assert_same(base: Path) -> None:
    prefetch = prefetch_weights(base, FLOAT32, "none")
    assert prefetch
    plain, quick = loaded(base), loaded(base, prefetch)
    assert plain.keys() == quick.keys()
    for name, tensor in plain.items():
        assert tensor.dtype == quick[name].dtype and torch.equal(tensor, quick[name]), name


def narrow(model: Any, folder: Path, **how: Any) -> Path:
    model.to(torch.bfloat16).save_pretrained(folder, **how)
    return folder


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gemma3", "phi3"])
@pytest.mark.parametrize("shard", ["1MB", "60KB"])
def test_the_model_is_the_same(tmp_path: Path, kind: str, shard: str) -> None:
    base = narrow(tiny.model(kind), tmp_path / "base", max_shard_size=shard)
    assert (base / INDEX).exists() == (shard == "60KB")
    assert_same(base)


def test_every_reader_takes_the_single_file_before_those_of_the_index(tmp_path: Path) -> None:
    """A folder with both, of different weights: what transformers loads is what all of us read."""
    base = narrow(tiny.model(seed=1), tmp_path / "base", max_shard_size="60KB")
    narrow(tiny.model(seed=2), tmp_path / "single")
    (tmp_path / "single" / SINGLE).rename(base / SINGLE)
    name = "model.embed_tokens.weight"
    expected = load_file(base / SINGLE)[name].float()
    assert torch.equal(AutoModelForCausalLM.from_pretrained(base).state_dict()[name], expected)
    assert torch.equal(load_causal(base).state_dict()[name].float(), expected)
    assert_same(base)
    assert weight_prefetch._files(base) == [base / SINGLE]
    assert {stored.file for stored in SafetensorsFolder(base).tensors.values()} == {base / SINGLE}
    (base / INDEX).unlink()
    for shard in base.glob("model-*.safetensors"):
        shard.unlink()
    assert_same(base)


def test_experts_are_left_to_what_puts_them_together(tmp_path: Path) -> None:
    config = Qwen2MoeConfig(vocab_size=384, num_experts=4, moe_intermediate_size=32, **tiny.COMMON)
    base = narrow(AutoModelForCausalLM.from_config(config), tmp_path / "base")
    (path,) = weight_prefetch._files(base)
    read = weight_prefetch._read(path)
    assert read and not any(".experts." in name for name in read)
    assert_same(base)


def test_the_file_is_not_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = narrow(tiny.model(), tmp_path / "base")
    prefetch = prefetch_weights(base, FLOAT32, "none")
    assert prefetch
    (future,) = prefetch._reading.values()
    read = future.result()
    pointers = {tensor.data_ptr() for tensor in read.values()}
    found = loaded(base, prefetch)
    assert read == {}, "each is given once, and kept no longer"
    assert {tensor.data_ptr() for name, tensor in found.items() if "rotary" not in name} <= pointers


def test_a_damaged_file_is_told_as_without(tmp_path: Path) -> None:
    base = narrow(tiny.model(), tmp_path / "base")
    (base / "model.safetensors").write_bytes(b"\x10" * 64)
    prefetch = prefetch_weights(base, FLOAT32, "none")
    with pytest.raises(UserError, match="this base model cannot be loaded"):
        loaded(base, prefetch)


def test_other_formats_are_only_asked_for(tmp_path: Path) -> None:
    base = narrow(tiny.model(), tmp_path / "base")
    assert prefetch_weights(base, torch.bfloat16, "none") is None
    assert prefetch_weights(base, FLOAT32, "nf4") is None
    assert prefetch_weights(tmp_path / "nowhere", torch.bfloat16, "none") is None


def test_what_is_read_in_another_way_is_left_alone(tmp_path: Path) -> None:
    base = narrow(tiny.model(), tmp_path / "base")
    config = (base / "config.json").read_text()
    (base / "config.json").write_text(config.replace("{", '{"text_config": {},', 1))
    assert weight_prefetch._files(base) == []
    assert weight_prefetch._files(tmp_path / "nowhere") == []
