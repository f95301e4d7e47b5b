"""Of a checkpoint for text and images the text model is trained, and nothing else is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import Gemma3Config, Gemma3ForConditionalGeneration

from tests import tiny
from workbench.core.errors import UserError
from workbench.pipeline.models.causal_lm import load_causal
from workbench.pipeline.models.weights import Weights
from workbench.pipeline.training import model as models

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

TEXT = dict(
    vocab_size=384,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=6,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    query_pre_attn_scalar=16,
    sliding_window=8,
    max_position_embeddings=256,
)
VISION = dict(
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=1,
    num_attention_heads=2,
    image_size=28,
    patch_size=14,
)
CPU = torch.device("cpu")
IDS = torch.arange(5, 45)[None]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.Tensor]:
    """A folder as published, and what the whole model answers to text."""
    torch.manual_seed(0)
    model = Gemma3ForConditionalGeneration(
        Gemma3Config(text_config=TEXT, vision_config=VISION, mm_tokens_per_image=1)
    )
    folder = tmp_path_factory.mktemp("gemma3")
    model.eval().save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder, logits(model)


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    found: torch.Tensor = model.eval()(input_ids=IDS).logits
    return found


def as_in_memory(name: str) -> str:
    """The stored name as newer programs write it: `model.` before all parts."""
    text = name.removeprefix("language_model.model.")
    return f"model.language_model.{text}" if text != name else f"model.{name}"


@pytest.mark.parametrize("named", ["as published", "as in memory"])
def test_the_text_model_answers_as_the_whole(
    named: str, whole: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    base, wanted = whole
    if named == "as in memory":
        stored = load_file(base / "model.safetensors")
        save_file({as_in_memory(n): t for n, t in stored.items()}, tmp_path / "model.safetensors")
        (tmp_path / "config.json").write_bytes((base / "config.json").read_bytes())
        base = tmp_path
    model = models.load(Weights(base), device=CPU, dtype=torch.float32)
    assert type(model).__name__ == "Gemma3ForCausalLM"
    assert torch.allclose(logits(model), wanted, atol=1e-5)


def test_the_vision_tower_is_not_loaded(whole: tuple[Path, torch.Tensor]) -> None:
    base, _ = whole
    names = [name for name, _ in load_causal(base).named_parameters()]
    assert names and not any("vision" in name or "multi_modal" in name for name in names)
    stored = load_file(base / "model.safetensors")
    assert len(names) == sum(name.startswith("language_model.") for name in stored)


def test_an_adapter_has_the_names_of_a_text_model_and_merges_again(
    whole: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    base, before = whole
    loaded = models.load(Weights(base), device=CPU, dtype=torch.float32)
    network = models.attach_adapter(loaded, models.Adapter(rank=2), seed=1)
    for name, parameter in models.trainable(network).items():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    tuned = logits(network)
    network.save_pretrained(tmp_path)
    names = load_file(tmp_path / "adapter_model.safetensors")
    assert "base_model.model.model.layers.5.self_attn.q_proj.lora_A.weight" in names
    assert len(names) == 6 * 7 * 2, "of every layer, and of no tower"
    again = models.load(Weights(base, (tmp_path,)), device=CPU, dtype=torch.float32)
    assert torch.allclose(logits(again), tuned, atol=1e-4)
    assert not torch.allclose(tuned, before, atol=1e-2)
    assert torch.allclose(logits(PeftModel.from_pretrained(load_causal(base), tmp_path)), tuned)


def test_a_text_model_with_a_weight_missing_is_refused(
    whole: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    stored = load_file(whole[0] / "model.safetensors")
    del stored["language_model.model.layers.3.mlp.up_proj.weight"]
    save_file(stored, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((whole[0] / "config.json").read_bytes())
    with pytest.raises(UserError, match="missing: model.layers.3.mlp.up_proj.weight"):
        models.load(Weights(tmp_path), device=CPU, dtype=torch.float32)


def test_all_weights_are_saved_as_a_text_model(
    whole: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    base, wanted = whole
    load_causal(base).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_bytes())
    assert (config["model_type"], config["architectures"]) == ("gemma3_text", ["Gemma3ForCausalLM"])
    assert "model.layers.0.mlp.up_proj.weight" in load_file(tmp_path / "model.safetensors")
    assert torch.allclose(logits(load_causal(tmp_path)), wanted, atol=1e-5)
