"""Of a checkpoint for text and images the text model is written, however its tensors are called."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, Gemma3TextConfig

from tests.pipeline.export.helpers import parities, plan, save_adapter, save_base
from workbench.architectures import family_of
from workbench.core.errors import UserError
from workbench.pipeline.export.merged_safetensors import write_merged
from workbench.pipeline.models.causal_lm import load_causal
from workbench.pipeline.models.weights import Weights

IDS = torch.arange(3, 60)[None]
# google/gemma-3-4b-it's config.json, and what the 27B one says beside it
PUBLISHED: dict[str, Any] = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    "eos_token_id": [1, 106],
    "model_type": "gemma3",
    "text_config": {
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "model_type": "gemma3_text",
        "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    },
    "torch_dtype": "bfloat16",
    "vision_config": {"hidden_size": 1152, "num_hidden_layers": 27},
}
LARGEST = {"num_hidden_layers": 62, "hidden_size": 5376, "num_attention_heads": 32}
LARGEST |= {"num_key_value_heads": 16, "head_dim": 128, "query_pre_attn_scalar": 168}


def renamed(base: Path, folder: Path, name: Callable[[str], str]) -> Path:
    """The same model in one file, its tensors called otherwise."""
    folder.mkdir()
    tensors: dict[str, torch.Tensor] = {}
    for shard in base.glob("*.safetensors"):
        tensors |= load_file(shard)
    save_file({name(n): t for n, t in tensors.items()}, folder / "model.safetensors")
    for path in base.glob("*.json"):
        if "index" not in path.name:
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def as_in_memory(name: str) -> str:
    """transformers' own names of the parts, which some checkpoints were saved under."""
    text = name.removeprefix("language_model.model.")
    return f"model.language_model.{text}" if text != name else f"model.{name}"


def test_names_as_in_memory_are_the_same_model(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "gemma3-vision")
    other = renamed(base, tmp_path / "other", as_in_memory)
    weights = Weights(other, (save_adapter(base, tmp_path / "adapter"),))
    assert parities(weights, tmp_path, "f32")["f32"].kl_mean <= 1e-5


def test_the_tower_is_left_out_and_it_is_said(tmp_path: Path) -> None:
    planned = plan(Weights(save_base(tmp_path / "base", "gemma3-vision")), ["f16"])
    assert any(
        "vision tower was neither trained nor exported" in warning for warning in planned.warnings
    )
    assert not any("vision" in name or "multi_modal" in name for name in planned.merged.names)


def test_the_merged_model_is_one_of_text(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "gemma3-vision")
    write_merged(plan(Weights(base), ["f16"]), tmp_path / "merged")
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert type(model).__name__ == "Gemma3ForCausalLM"
    with torch.no_grad():
        got, wanted = model(IDS).logits, load_causal(base)(IDS).logits
    assert torch.allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("more", [{}, LARGEST], ids=["4B", "27B"])
def test_what_a_published_configuration_leaves_out(more: dict[str, Any], tmp_path: Path) -> None:
    text = PUBLISHED["text_config"] | more
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED | {"text_config": text}))
    family, config = family_of(tmp_path)
    meant = Gemma3TextConfig(**text)
    for key in family.defaults:
        if key != "rope_theta":
            assert config.need(key) == getattr(meant, key), key
    for kind in ("full_attention", "sliding_attention"):
        assert meant.rope_parameters[kind]["rope_theta"] in (1e6, 1e4)
    assert (config.rope().kind, config.rope().theta) == ("linear", 1e6)
    assert config.rope().number("factor") == 8.0


def test_a_configuration_without_a_text_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED | {"text_config": "none"}))
    with pytest.raises(UserError, match="text_config is not a configuration"):
        family_of(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED | {"text_config": None}))
    with pytest.raises(UserError, match="has no text_config"):
        family_of(tmp_path)
