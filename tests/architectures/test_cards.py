"""Every architecture: the file is the model, and each classic mistake is caught by the gate."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader

from tests.pipeline.export.helpers import (
    LATENT_YARN,
    SHAPES,
    TABLE_GELU,
    YARN,
    export,
    parities,
    plan,
    save_adapter,
    save_base,
)
from workbench import architectures
from workbench.architectures.card import Architecture
from workbench.architectures.model_config import ModelConfig
from workbench.architectures.tensor_layout import TensorPart
from workbench.core.errors import UserError
from workbench.pipeline.export import gguf_writer
from workbench.pipeline.export import plan as export_plan
from workbench.pipeline.export.gguf_keys import write_keys
from workbench.pipeline.export.parity import judge_parity, measure
from workbench.pipeline.export.peft_adapter import PeftAdapter
from workbench.pipeline.export.reference_logits import write_reference
from workbench.pipeline.export.row_chunks import RowChunk
from workbench.pipeline.models.weights import Weights

MIXTURES = ("qwen3-moe", "mixtral", "deepseek2", "deepseek2-rank", "deepseek2-yarn")


@pytest.mark.parametrize("shape", SHAPES)
def test_f32_and_f16_files_are_the_model(shape: str, tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", shape)
    assert len(list(base.glob("*.safetensors"))) > 1
    weights = Weights(base, (save_adapter(base, tmp_path / "adapter"),))
    found = parities(weights, tmp_path, "f32", "f16")
    limit = 1e-5 if shape.startswith(TABLE_GELU) else 1e-6
    assert found["f32"].kl_mean <= limit
    assert found["f32"].top1_margin == 1.0
    routed = shape in MIXTURES  # a router between two experts is tipped by rounding
    assert (found["f16"].kl_most if routed else found["f16"].kl_mean) <= 1e-5
    assert judge_parity(found["f32"], f32_limit=limit).passed
    assert judge_parity(found["f16"], routed=routed).passed


def test_longrope_files_are_the_model_on_both_sides_of_the_switch(tmp_path: Path) -> None:
    """transformers goes by the sequence, llama.cpp by its context: compared where they agree."""
    weights = Weights(save_base(tmp_path / "base", "phi3-longrope"))
    paths, rows = export(weights, tmp_path, "f32"), plan(weights, ["f32"]).vocabulary_size
    short, long = [*range(3, 60)], [3 + n % 500 for n in range(300)]

    def found(*probes: list[int]) -> float:
        made = write_reference(weights, probes, tmp_path / "reference", rows=rows, layers=2)
        return measure("f32", paths["f32"], probes, made, ids_equal=True).kl_mean

    assert found(short) <= 1e-6 and found(long) <= 1e-6
    assert found(short, long) > 1e-4, "in the longer context the short text has other factors"


MISTAKES = {
    "no-permutation": ("llama", {"permute": False}),
    "permutation-too-many": ("qwen2", {"permute": True}),
    "no-plus-one": ("gemma", {"norm_plus_one": False}),
    "no-plus-one-3": ("gemma3", {"norm_plus_one": False}),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_gate_stops_a_wrong_family(
    mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape, change = MISTAKES[mistake]
    base = save_base(tmp_path / "base", shape)
    name = json.loads((base / "config.json").read_text())["architectures"][0]
    wrong: Any = dataclasses.replace(architectures.FAMILIES[name], **change)  # type: ignore[arg-type]
    monkeypatch.setitem(architectures.FAMILIES, name, wrong)
    _assert_stopped(Weights(base), tmp_path)


# shape -> the number that the file is told instead of the model's
NUMBERS: dict[str, tuple[str, dict[str, Any]]] = {
    "base-of-rope": ("qwen2", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
    "epsilon": ("qwen2", {"rms_norm_eps": 1e-2}),
    "layer-epsilon": ("cohere", {"layer_norm_eps": 1e-2}),
    "no-yarn": ("qwen2-yarn", {"rope_parameters": {"rope_type": "default"}}),
    "yarn-factor": ("qwen2-yarn-factor", {"rope_parameters": {**YARN, "attention_factor": 1.0}}),
    "yarn-of-scores": ("deepseek2-yarn", {"rope_parameters": YARN | {"mscale_all_dim": 0.1}}),
    "no-linear-scaling": ("llama-linear", {"rope_parameters": {"rope_type": "default"}}),
    "soft-caps": ("gemma2", {"attn_logit_softcapping": 1e4, "final_logit_softcapping": 1e4}),
    "window": ("gemma2", {"sliding_window": 512}),
    "window-3": ("gemma3", {"sliding_window": 512}),
    "window-of-cohere": ("cohere2", {"sliding_window": 512}),
    "logit-scale": ("cohere", {"logit_scale": 1.0}),
    "factors": ("granite", {"residual_multiplier": 1.0}),
    "attention-scale": ("granite", {"attention_multiplier": 0.25}),
    "expert-scale": ("deepseek2", {"routed_scaling_factor": 1.0}),
    "experts-used": ("qwen3-moe", {"num_experts_per_tok": 1}),
}


@pytest.mark.parametrize("mistake", NUMBERS)
def test_the_gate_stops_a_wrong_number(
    mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape, change = NUMBERS[mistake]
    base = save_base(tmp_path / "base", shape)

    def other_keys(card: Architecture, writer: Any, config: ModelConfig, rows: int) -> None:
        write_keys(card, writer, ModelConfig(config.path, {**config.values, **change}), rows)

    monkeypatch.setattr(gguf_writer, "write_keys", other_keys)
    _assert_stopped(Weights(base), tmp_path, routed=shape in MIXTURES, least=1e-4)


def test_the_gate_stops_a_file_without_frequency_factors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = save_base(tmp_path / "base", "llama")
    monkeypatch.setattr(export_plan, "rope_tensors", lambda config: iter(()))
    _assert_stopped(Weights(base), tmp_path)


def test_the_gate_stops_a_missing_bias(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = save_base(tmp_path / "base", "qwen2")
    rows = RowChunk.rows

    def without_bias(slab: RowChunk, first: int, end: int) -> Any:
        bias = slab.tensor.name.endswith(".bias")
        return np.zeros_like(rows(slab, first, end)) if bias else rows(slab, first, end)

    monkeypatch.setattr(RowChunk, "rows", without_bias)
    _assert_stopped(Weights(base), tmp_path)


def test_the_gate_stops_experts_in_another_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = save_base(tmp_path / "base", "qwen3-moe")
    family = architectures.FAMILIES["Qwen3MoeForCausalLM"]

    def swapped(name: str, *rest: Any) -> Iterator[TensorPart]:
        for part in family.parts(name, *rest):
            yield dataclasses.replace(part, index=part.of - 1 - part.index) if part.of else part

    wrong = dataclasses.replace(family, parts=swapped)
    monkeypatch.setitem(architectures.FAMILIES, "Qwen3MoeForCausalLM", wrong)
    _assert_stopped(Weights(base), tmp_path, routed=True)


def test_the_gate_stops_a_wrong_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = save_base(tmp_path / "base", "qwen2")
    weights = Weights(base, (save_adapter(base, tmp_path / "adapter"),))
    monkeypatch.setattr(PeftAdapter, "scale", lambda self, module, rank: 1.0)
    _assert_stopped(weights, tmp_path)


def _assert_stopped(
    weights: Weights, folder: Path, *, routed: bool = False, least: float = 1e-2
) -> None:
    found = parities(weights, folder, "f32", "f16")
    assert found["f32"].kl_mean > least
    assert not judge_parity(found["f32"], f32_limit=1e-5).passed
    assert not judge_parity(found["f16"], routed=routed).passed


def _change(base: Path, **values: Any) -> None:
    config = json.loads((base / "config.json").read_text()) | values
    (base / "config.json").write_text(json.dumps(config))


REFUSALS = [
    ("qwen2", {"architectures": ["MambaForCausalLM"]}, "MambaForCausalLM"),
    ("qwen2", {"architectures": []}, "(none)"),
    ("qwen2", {"use_sliding_window": True}, "use_sliding_window"),
    ("qwen2", {"hidden_act": "gelu"}, "hidden_act"),
    ("qwen2", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1.0}}, "dynamic"),
    ("qwen2", {"num_hidden_layers": 3}, "layer 2"),
    ("qwen2", {"rms_norm_eps": None}, "rms_norm_eps"),
    ("qwen2", {"rope_parameters": {"rope_type": "linear", "rope_theta": 1.0}}, "without factor"),
    ("qwen3-moe", {"norm_topk_prob": False}, "norm_topk_prob"),
    ("qwen3-moe", {"mlp_only_layers": [1]}, "mlp_only_layers"),
    ("qwen3-moe", {"num_local_experts": 5}, "4 pieces, config.json says 5"),
    ("qwen2-moe", {"decoder_sparse_step": 2}, "decoder_sparse_step"),
    ("deepseek2", {"topk_method": "group_limited_greedy"}, "topk_method"),
    ("deepseek2", {"v_head_dim": 25}, "config.json says"),
    ("deepseek2-rank", {"num_hidden_layers": 27}, "q_lora_rank"),
    ("deepseek2-yarn", {"rope_parameters": {**LATENT_YARN, "mscale": 1.0}}, "mscale"),
    ("smollm3", {"no_rope_layers": [1, 1, 0, 1]}, "no_rope_layers"),
    ("cohere2", {"layer_types": ["full_attention"] * 4}, "layer_types"),
    ("olmo2", {"tie_word_embeddings": True}, "tie_word_embeddings"),
    ("starcoder2", {"use_bias": False}, "use_bias"),
    ("gemma2", {"query_pre_attn_scalar": 99}, "query_pre_attn_scalar"),
    ("gemma2", {"layer_types": ["full_attention", "full_attention"]}, "layer_types"),
]


@pytest.mark.parametrize(("shape", "values", "said"), REFUSALS)
def test_what_llama_cpp_cannot_express_is_refused(
    shape: str, values: dict[str, Any], said: str, tmp_path: Path
) -> None:
    base = save_base(tmp_path / "base", shape)
    _change(base, **values)
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        plan(Weights(base), ["f16"])
    assert str(base) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_gelu_in_gemmas_first_releases_means_the_tanh_form(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "gemma")
    _change(base, hidden_act="gelu")
    found = parities(Weights(base), tmp_path, "f16")
    assert judge_parity(found["f16"]).passed


def test_the_refusal_names_the_architecture(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "qwen2")
    _change(base, architectures=["MambaForCausalLM"])
    with pytest.raises(UserError, match="MambaForCausalLM cannot be written as GGUF"):
        plan(Weights(base), ["f16"])


def test_old_and_new_names_of_rope_mean_the_same(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "llama")
    config = json.loads((base / "config.json").read_text())
    new = plan(Weights(base), ["f32"]).config.rope()
    parameters = config.pop("rope_parameters")
    config["rope_theta"] = parameters.pop("rope_theta")
    config["rope_scaling"] = {"type": parameters.pop("rope_type"), **parameters}
    (base / "config.json").write_text(json.dumps(config))
    old = plan(Weights(base), ["f32"]).config.rope()
    assert (old.theta, old.kind) == (new.theta, new.kind)
    assert all(old.values[key] == new.values[key] for key in parameters)


def test_a_window_that_llama_cpp_ignores_is_said(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "mistral")
    _change(base, sliding_window=64)
    assert any("64 tokens" in warning for warning in plan(Weights(base), ["f16"]).warnings)


@pytest.mark.parametrize(
    ("shape", "values", "context"),
    [
        ("cohere", {"model_max_length": 131072}, 131072),
        ("cohere", {}, 512),
        ("qwen2", {"model_max_length": 131072}, 512),
    ],
)
def test_command_r_was_trained_for_more_than_its_positions(
    shape: str, values: dict[str, int], context: int, tmp_path: Path
) -> None:
    base = save_base(tmp_path / "base", shape)
    _change(base, max_position_embeddings=512, **values)
    fields = GGUFReader(export(Weights(base), tmp_path, "f16")["f16"]).fields
    key = f"{fields['general.architecture'].contents()}.context_length"
    assert fields[key].contents() == context
