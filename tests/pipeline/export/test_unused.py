"""Layers for multi-token prediction are skipped by training and export alike, and said so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tests.pipeline.export.helpers import plan, save_base
from workbench.core.errors import UserError
from workbench.pipeline.export.merge_whole import write_whole
from workbench.pipeline.export.merged_safetensors import write_merged
from workbench.pipeline.export.plan import base_fallbacks
from workbench.pipeline.export.streaming import run_export
from workbench.pipeline.export.unused import PREDICTION, TABLES, unused, without_prediction
from workbench.pipeline.models.base_keys import check_keys
from workbench.pipeline.models.weights import Weights

CONFIG = {"num_hidden_layers": 2, "num_nextn_predict_layers": 1}


def predicting(folder: Path, **config: Any) -> Path:
    """A base of two layers with a third one that predicts ahead, as DeepSeek-V3 stores it, and one
    under a name of its own, as Qwen3-Next does; and an old file's rotary tables."""
    base = save_base(folder, "llama", shard="5GB")
    tensors = load_file(base / "model.safetensors")
    layer = {name: t for name, t in tensors.items() if name.startswith("model.layers.1.")}
    for name, tensor in layer.items():
        tensors[name.replace("layers.1.", "layers.2.")] = tensor.clone()
        tensors[name.replace("model.layers.1.", "mtp.layers.0.")] = tensor.clone()
    tensors["model.layers.2.eh_proj.weight"] = torch.ones(64, 128)
    tensors["model.layers.0.self_attn.rotary_emb.cos_cached"] = torch.ones(4, 4)
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    values = json.loads((base / "config.json").read_text())
    values |= {"num_nextn_predict_layers": 1, **config}
    (base / "config.json").write_text(json.dumps(values))
    return base


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("model.layers.2.mlp.up_proj.weight", PREDICTION),
        ("model.layers.2.eh_proj.weight", PREDICTION),
        ("mtp.fc.weight", PREDICTION),
        ("model.mtp_layers.0.mlp.up_proj.weight", PREDICTION),
        ("model.layers.1.mlp.up_proj.weight", ""),
        ("lm_head.weight", ""),
        ("model.layers.1.self_attn.rotary_emb.inv_freq", TABLES),
        ("model.rotary_emb.cos_cached", TABLES),
        ("transformer.h.0.attention.bias", TABLES),
    ],
)
def test_what_is_not_used_and_why(name: str, why: str) -> None:
    assert unused(name, CONFIG) == why


def test_a_layer_too_many_is_not_one_for_prediction() -> None:
    assert (
        unused("model.layers.2.mlp.up_proj.weight", {**CONFIG, "num_nextn_predict_layers": 0}) == ""
    )


def test_the_files_are_those_of_the_model_without_them(tmp_path: Path) -> None:
    base, plain = predicting(tmp_path / "base"), save_base(tmp_path / "plain", "llama", shard="5GB")
    save_file(load_file(plain / "model.safetensors"), plain / "model.safetensors")  # in its order
    found = check_keys(base)
    assert found == {PREDICTION: 19, TABLES: 1}
    assert base_fallbacks(base, ["f16"]) == base_fallbacks(plain, ["f16"])
    planned, expected = plan(Weights(base), ["f32"]), plan(Weights(plain), ["f32"])
    assert f"{PREDICTION}: 19 tensors not written" in planned.warnings
    assert not any(PREDICTION in line for line in expected.warnings)
    assert [tensor.name for tensor in planned.tensors] == [t.name for t in expected.tensors]
    for name, made in (("base", planned), ("plain", expected)):
        made = plan(made.weights, ["f32"], name="model")
        run_export(made, {"f32": tmp_path / f"{name}.gguf"}, threads=1)
    assert (tmp_path / "base.gguf").read_bytes() == (tmp_path / "plain.gguf").read_bytes()


@pytest.mark.parametrize("whole", [False, True], ids=["by-slabs", "by-transformers"])
def test_the_merged_model_says_that_it_has_none(tmp_path: Path, whole: bool) -> None:
    """llama.cpp's converter and others would look for the layers that config.json counts."""
    base, folder = predicting(tmp_path / "base"), tmp_path / "merged"
    if whole:
        write_whole(Weights(base), base, folder)
    else:
        write_merged(plan(Weights(base), ["f16"]), folder)
    assert json.loads((folder / "config.json").read_text())["num_nextn_predict_layers"] == 0
    made = AutoModelForCausalLM.from_pretrained(folder)
    assert load_file(folder / "model.safetensors").keys() <= {*made.state_dict(), "lm_head.weight"}


def test_a_config_without_them_is_left_as_it_is() -> None:
    values = {"num_hidden_layers": 2, "hidden_size": 4}
    assert without_prediction(values) == values


def test_without_a_word_in_config_the_layer_is_an_error(tmp_path: Path) -> None:
    base = predicting(tmp_path / "base", num_nextn_predict_layers=0)
    with pytest.raises(UserError, match=r"10 stored tensors unknown to LlamaForCausalLM"):
        check_keys(base)
