"""A head that is stored beside a config that ties it, as PEFT's merges leave it: it is the head."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tests.pipeline.export.helpers import parities, plan, save_adapter, save_base
from workbench.pipeline.export.merged_safetensors import write_merged
from workbench.pipeline.models.base_keys import check_keys
from workbench.pipeline.models.causal_lm import load_causal
from workbench.pipeline.models.weights import Weights
from workbench.pipeline.training.model import resize_embeddings

SHAPES = ("qwen2", "llama-bias", "granite", "smollm3")
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def base_with_head(folder: Path, shape: str, change: float) -> Path:
    save_base(folder, shape, shard="5GB")
    tensors = load_file(folder / "model.safetensors")
    tensors[HEAD] = tensors[EMBEDDING] + change * torch.randn_like(tensors[EMBEDDING])
    save_file(tensors, folder / "model.safetensors")
    assert json.loads((folder / "config.json").read_text())["tie_word_embeddings"]
    return folder


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_used_in_training_and_in_the_files(shape: str, tmp_path: Path) -> None:
    base = base_with_head(tmp_path / "base", shape, 0.1)
    stored = load_file(base / "model.safetensors")
    assert check_keys(base) == {}
    model = load_causal(base, dtype=torch.float32)
    assert torch.equal(model.lm_head.weight, stored[HEAD])
    assert torch.equal(model.model.embed_tokens.weight, stored[EMBEDDING])
    weights = Weights(base, (save_adapter(base, tmp_path / "adapter"),))
    planned = plan(weights, ["f32"])
    assert not planned.merged.tied
    assert sum("another is stored" in line for line in planned.warnings) == 1
    assert {"output.weight", "token_embd.weight"} <= {t.name for t in planned.tensors}
    found = parities(weights, tmp_path, "f32")
    assert found["f32"].kl_mean <= 1e-6
    write_merged(planned, tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert merged.config.tie_word_embeddings is False
    assert torch.equal(merged.lm_head.weight, stored[HEAD])


def test_it_stays_when_rows_are_added(tmp_path: Path) -> None:
    base = base_with_head(tmp_path / "base", "qwen2", 0.1)
    model = load_causal(base, dtype=torch.float32)
    before, rows = model.lm_head.weight.clone(), model.lm_head.weight.shape[0]
    resize_embeddings(model, rows + 3)
    assert torch.equal(model.lm_head.weight[:rows], before)
    assert model.lm_head.weight is not model.model.embed_tokens.weight


def test_a_stored_head_of_the_same_values_stays_tied(tmp_path: Path) -> None:
    base = base_with_head(tmp_path / "base", "qwen2", 0.0)
    model = load_causal(base, dtype=torch.float32)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.config.tie_word_embeddings
    planned = plan(Weights(base), ["f32"])
    assert planned.merged.tied and "output.weight" not in {t.name for t in planned.tensors}
    assert not planned.warnings
