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
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from tests.pipeline.export.helpers import (
    PROBES,
    export,
    parities,
    plan,
    save_adapter,
    save_base,
)
from workbench.core.errors import UserError
from workbench.pipeline.export.merged_weights import HEAD, MergedWeights
from workbench.pipeline.export.parity import measure
from workbench.pipeline.export.plan import plan_export
from workbench.pipeline.export.reference_logits import write_reference
from workbench.pipeline.models.weights import Weights

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


def test_an_adapter_trained_on_a_4_bit_base_is_added_to_the_full_one(tmp_path: Path) -> None:
    """QLoRA: the base is read as it is stored, in full precision, whatever training held."""
    base = save_base(tmp_path / "base", "llama", hidden=64)
    coarse = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.float32)
    adapter = save_adapter(base, tmp_path / "adapter", quantization_config=coarse)
    weights = Weights(base, (adapter,))
    assert_equal(weights)
    assert parities(weights, tmp_path, "f32")["f32"].kl_mean <= 1e-6


TIES: dict[str, dict[str, Any]] = {
    "lora-on-input": dict(target_modules=["q_proj", "embed_tokens"]),
    "lora-on-output": dict(target_modules=["q_proj", "lm_head"]),
    "lora-on-both": dict(target_modules=["q_proj", "embed_tokens", "lm_head"]),
    "input-saved": dict(modules_to_save=["embed_tokens"]),
    "output-saved": dict(modules_to_save=["lm_head"]),
    "kept-equal": dict(target_modules=["q_proj", "embed_tokens"], ensure_weight_tying=True),
    "saved-equal": dict(modules_to_save=["embed_tokens"], ensure_weight_tying=True),
    "some-tokens": dict(trainable_token_indices=[5, 600]),
    "tokens-by-name": dict(trainable_token_indices={"embed_tokens": [5, 600]}),
}


@pytest.mark.parametrize("tie", TIES)
def test_one_matrix_for_both_ends_is_what_training_made_of_it(tie: str, tmp_path: Path) -> None:
    """peft's own merge is no measure here: it changes both ends where training changed one."""
    base = save_base(tmp_path / "base", "qwen2")
    weights = Weights(base, (save_adapter(base, tmp_path / "adapter", **TIES[tie]),))
    planned = plan(weights, ["f32"])
    stays = tie in ("kept-equal", "saved-equal", "some-tokens", "tokens-by-name")
    assert planned.merged.tied == stays
    assert any("untied" in warning for warning in planned.warnings) == (not stays)
    assert parities(weights, tmp_path, "f32")["f32"].kl_mean <= 1e-6


def test_ends_that_are_two_matrices_are_changed_by_themselves(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "llama")
    rows = {"embed_tokens": [5, 600], "lm_head": [7]}
    adapter = save_adapter(base, tmp_path / "adapter", trainable_token_indices=rows)
    assert_equal(Weights(base, (adapter,)))


def test_rows_beyond_the_vocabulary_are_refused(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "llama")
    adapter = save_adapter(base, tmp_path / "adapter", trainable_token_indices=[5, 600])
    for ids, said in (([5, 9000], "but the adapter is for"), ([5], "does not fit the rows")):
        _edit(adapter, trainable_token_indices=ids)
        with pytest.raises(UserError, match=said):
            plan(Weights(base, (adapter,)), ["f16"])


@pytest.mark.parametrize("shape", ["qwen2", "llama"])
@pytest.mark.parametrize("trained", [{}, {"trainable_token_indices": [608, 610]}])
def test_added_tokens_come_with_their_rows(
    shape: str, trained: dict[str, Any], tmp_path: Path
) -> None:
    """The vocabulary is grown by five rows before training; the tokenizer by two tokens."""
    base = save_base(tmp_path / "base", shape)
    adapter = save_adapter(base, tmp_path / "adapter", added_rows=5, **trained)
    rows = MergedWeights(Weights(base), tied_in_config=False).shape("model.embed_tokens.weight")[0]
    tokenizer = _with_tokens(base, tmp_path / "tokenizer", rows, "<|tool|>", "<|end_of_tool|>")
    planned = plan_export(Weights(base, (adapter,)), ["f32"], tokenizer)
    assert planned.vocabulary_size == rows + 5
    assert planned.vocabulary.tokens[rows : rows + 3] == [
        "<|tool|>",
        "<|end_of_tool|>",
        f"[PAD{rows + 2}]",
    ]
    assert planned.merged.tied == (shape == "qwen2")
    assert parities(Weights(base, (adapter,)), tmp_path, "f32")["f32"].kl_mean <= 1e-6


def _with_tokens(base: Path, folder: Path, first: int, *texts: str) -> Path:
    shutil.copytree(base, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    backend = json.loads((base / "tokenizer.json").read_text())
    like = backend["added_tokens"][0]
    backend["added_tokens"] += [like | {"id": first + i, "content": t} for i, t in enumerate(texts)]
    (folder / "tokenizer.json").write_text(json.dumps(backend))
    return folder


EXPERTS: dict[str, dict[str, Any]] = {
    "all": {},
    "one-parameter": dict(target_modules=["q_proj"], target_parameters=["experts.down_proj"]),
    "router": dict(target_modules=["q_proj"], target_parameters=["gate.weight"]),
    "rslora": dict(use_rslora=True),
    "alpha": dict(
        target_modules=["q_proj"],
        target_parameters=["experts.gate_up_proj", "experts.down_proj"],
        alpha_pattern={"experts.down_proj": 20},
        rank_pattern={"experts.gate_up_proj": 3},
    ),
}


@pytest.mark.parametrize("shape", ["qwen3-moe", "mixtral", "deepseek2"])
@pytest.mark.parametrize("variant", EXPERTS)
def test_experts_have_their_own_share_of_the_factors(
    shape: str, variant: str, tmp_path: Path
) -> None:
    base = save_base(tmp_path / "base", shape)
    weights = Weights(base, (save_adapter(base, tmp_path / "adapter", **EXPERTS[variant]),))
    merged = plan(weights, ["f32"]).merged
    assert any(".experts." in name for name in merged.adapters[0].experts) != (variant == "router")
    found = parities(weights, tmp_path, "f32")
    assert found["f32"].kl_mean <= 1e-6
    assert found["f32"].kl_mean < 1e-3 * _without(weights, tmp_path / "plain")


def _without(weights: Weights, folder: Path) -> float:
    """How far the base alone is from the trained model."""
    planned = plan(weights, ["f32"])
    folder.mkdir()
    reference = write_reference(
        weights, PROBES, folder, rows=planned.vocabulary_size, layers=planned.config.layers
    )
    plain = export(Weights(weights.base), folder, "f32")["f32"]
    return measure("f32", plain, PROBES, reference, ids_equal=True).kl_mean


def test_experts_trained_by_an_older_peft_have_factors_each(tmp_path: Path) -> None:
    """Before transformers 5 every expert's matrix was a layer of its own."""
    base = save_base(tmp_path / "base", "qwen3-moe")
    adapter = save_adapter(base, tmp_path / "adapter", target_modules=["q_proj"])
    tensors = load_file(adapter / "adapter_model.safetensors")
    rng = np.random.default_rng(0)
    merged = MergedWeights(Weights(base), tied_in_config=False)
    for name in [n for n in merged.names if ".experts." in n]:
        rows, columns = merged.shape(name)
        key = f"base_model.model.{name.removesuffix('.weight')}"
        tensors[f"{key}.lora_A.weight"] = rng.normal(size=(4, columns)).astype(np.float32) * 0.1
        tensors[f"{key}.lora_B.weight"] = rng.normal(size=(rows, 4)).astype(np.float32) * 0.1
    save_file(tensors, adapter / "adapter_model.safetensors")
    _edit(adapter, target_modules=["q_proj", "gate_proj", "up_proj", "down_proj"])
    assert parities(Weights(base, (adapter,)), tmp_path, "f32")["f32"].kl_mean <= 1e-6


def test_factors_that_fit_no_experts_are_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "qwen3-moe")
    adapter = save_adapter(base, tmp_path / "adapter")
    with pytest.raises(UserError, match="match no experts of the base model"):
        plan(Weights(made[0], (adapter,)), ["f16"])


def test_an_adapter_of_another_model_is_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    other = save_base(tmp_path / "other", "qwen2", hidden=32)
    with pytest.raises(UserError, match="but the adapter is for"):
        plan(Weights(other, (made[1],)), ["f16"])
    smaller = save_base(tmp_path / "smaller", "qwen2", layers=1)
    with pytest.raises(UserError, match="which the base model does not have"):
        plan(Weights(smaller, (made[1],)), ["f16"])


def test_half_a_pair_of_factors_is_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    adapter = shutil.copytree(made[1], tmp_path / "adapter")
    tensors = load_file(adapter / "adapter_model.safetensors")
    tensors.pop(next(name for name in tensors if "lora_B" in name))
    save_file(tensors, adapter / "adapter_model.safetensors")
    with pytest.raises(UserError, match="the LoRA factors of .* are incomplete"):
        plan(Weights(made[0], (adapter,)), ["f16"])
