"""Merged rows against peft's own merge, for each variant of LoRA; what cannot be merged is said."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM

from tests.pipeline.export.helpers import parities, plan, save_adapter, save_base
from workbench.errors import UserError
from workbench.pipeline.export.merged_weights import HEAD, MergedWeights
from workbench.pipeline.training.weights import Weights

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("qwen2", {}),
    "rslora": ("qwen2", dict(use_rslora=True)),
    "patterns": (
        "qwen2",
        dict(
            rank_pattern={"q_proj": 2, r"layers\.1\..*down_proj": 8},
            alpha_pattern={"v_proj": 40, r"^model\.layers\.0\.mlp\.up_proj": 3},
        ),
    ),
    "dora": ("qwen2", dict(use_dora=True)),
    "bias": ("qwen2", dict(bias="lora_only")),
    "saved-head": ("llama", dict(modules_to_save=["lm_head"])),
    "saved-both": ("llama", dict(modules_to_save=["lm_head", "embed_tokens"])),
    "saved-head-of-a-tie": ("qwen2", dict(modules_to_save=["lm_head"])),
    "embedding": ("llama", dict(target_modules=["q_proj", "embed_tokens"])),
    "last-layer": ("qwen2", dict(target_modules=["q_proj", "up_proj"], layers_to_transform=[1])),
    "fused": ("phi3", {}),
}


def merged_by_peft(weights: Weights) -> dict[str, np.ndarray[Any, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: Any = AutoModelForCausalLM.from_pretrained(weights.base, dtype=torch.float32)
        for adapter in weights.adapters:
            model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    return {name: value.float().numpy() for name, value in model.state_dict().items()}


def merged_by_us(weights: Weights) -> dict[str, np.ndarray[Any, Any]]:
    merged = plan(weights, ["f32"]).merged
    out = {}
    for name in merged.names:
        tensor = merged.open(name)
        cut = max(1, tensor.shape[0] // 3)  # in parts: rows must not depend on their slab
        parts = [
            tensor.rows(i, min(i + cut, tensor.shape[0])) for i in range(0, tensor.shape[0], cut)
        ]
        out[name] = np.concatenate(parts).reshape(tensor.shape)
    return out


def assert_equal(weights: Weights) -> None:
    ours, theirs = merged_by_us(weights), merged_by_peft(weights)
    for name, expected in theirs.items():
        if name == HEAD and name not in ours:
            name, expected = "model.embed_tokens.weight", theirs[HEAD]
        np.testing.assert_allclose(ours[name], expected, rtol=0, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("variant", VARIANTS)
def test_rows_are_those_of_pefts_merge(variant: str, tmp_path: Path) -> None:
    shape, settings = VARIANTS[variant]
    base = save_base(tmp_path / "base", shape)
    weights = Weights(base, (save_adapter(base, tmp_path / "adapter", **settings),))
    assert_equal(weights)
    changed = merged_by_us(weights)
    plain = merged_by_us(Weights(base))
    assert any(not np.array_equal(changed[n], plain[n]) for n in plain)


def test_adapters_are_added_in_order(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "llama-bias")
    one = save_adapter(base, tmp_path / "one", seed=1)
    two = save_adapter(base, tmp_path / "two", seed=2, use_dora=True, r=2)
    assert_equal(Weights(base, (one, two)))
    forth, back = merged_by_us(Weights(base, (one, two))), merged_by_us(Weights(base, (two, one)))
    assert any(not np.allclose(forth[n], back[n]) for n in forth), "DoRA does not commute"
    found = parities(Weights(base, (one, two)), tmp_path, "f32")
    assert found["f32"].kl_mean <= 1e-6


def test_a_grown_vocabulary_comes_with_its_adapter(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "qwen2")
    adapter = save_adapter(base, tmp_path / "adapter")
    tensors = load_file(adapter / "adapter_model.safetensors")
    rows, columns = MergedWeights(Weights(base), tied_in_config=True).shape(
        "model.embed_tokens.weight"
    )
    grown = np.random.default_rng(0).normal(size=(rows + 5, columns)).astype(np.float32) * 0.2
    tensors["base_model.model.model.embed_tokens.weight"] = grown
    tensors["base_model.model.lm_head.weight"] = grown.copy()
    save_file(tensors, adapter / "adapter_model.safetensors")
    planned = plan(Weights(base, (adapter,)), ["f32"])
    assert planned.merged.tied and planned.vocabulary_size == rows + 5
    assert parities(Weights(base, (adapter,)), tmp_path, "f32")["f32"].kl_mean <= 1e-6


def _edit(adapter: Path, **values: Any) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"peft_type": "IA3"}, "IA3"),
    ({"init_lora_weights": "pissa_niter_4"}, "pissa_niter_4"),
    ({"init_lora_weights": "olora"}, "olora"),
    ({"layer_replication": [[0, 2]]}, "layer_replication"),
    ({"target_parameters": ["a"]}, "target_parameters"),
    ({"trainable_token_indices": [1]}, "trainable_token_indices"),
    ({"fan_in_fan_out": True}, "fan_in_fan_out"),
    ({"lora_bias": True}, "lora_bias"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("made")
    base = save_base(folder / "base", "qwen2")
    return base, save_adapter(base, folder / "adapter")


@pytest.mark.parametrize(("values", "said"), REFUSED)
def test_unmergeable_adapters_are_refused_by_name(
    made: tuple[Path, Path], values: dict[str, Any], said: str, tmp_path: Path
) -> None:
    adapter = shutil.copytree(made[1], tmp_path / "adapter")
    _edit(adapter, **values)
    with pytest.raises(UserError, match=said) as caught:
        plan(Weights(made[0], (adapter,)), ["f16"])
    assert "adapter_config.json" in str(caught.value)


@pytest.mark.parametrize(
    "settings", [{"target_modules": ["embed_tokens"]}, {"modules_to_save": ["embed_tokens"]}]
)
def test_half_of_a_tie_is_refused(settings: dict[str, Any], tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "qwen2")
    adapter = save_adapter(base, tmp_path / "adapter", **settings)
    with pytest.raises(UserError, match="one matrix"):
        plan(Weights(base, (adapter,)), ["f16"])


def test_an_adapter_of_another_model_is_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    other = save_base(tmp_path / "other", "qwen2", hidden=32)
    with pytest.raises(UserError, match="the adapter's factors are for"):
        plan(Weights(other, (made[1],)), ["f16"])
    smaller = save_base(tmp_path / "smaller", "qwen2", layers=1)
    with pytest.raises(UserError, match="which the base does not have"):
        plan(Weights(smaller, (made[1],)), ["f16"])


def test_half_a_pair_of_factors_is_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    adapter = shutil.copytree(made[1], tmp_path / "adapter")
    tensors = load_file(adapter / "adapter_model.safetensors")
    tensors.pop(next(name for name in tensors if "lora_B" in name))
    save_file(tensors, adapter / "adapter_model.safetensors")
    with pytest.raises(UserError, match="not whole"):
        plan(Weights(made[0], (adapter,)), ["f16"])
