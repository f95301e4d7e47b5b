"""Weights that are missing, misplaced or of another shape: errors with names, before training."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.pipeline.export.helpers import SHAPES, save_base
from workbench.core.errors import UserError
from workbench.pipeline.models.base_checks import check_tensors
from workbench.pipeline.models.base_keys import check_keys
from workbench.pipeline.models.candidate import Candidate
from workbench.pipeline.models.causal_lm import load_causal
from workbench.preset.schema import Preset

Tensors = dict[str, Tensor]
PLACE = "model.layers.1.mlp."


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("bases")

    def base(shape: str) -> Path:
        folder = root / shape
        return folder if folder.exists() else save_base(folder, shape, shard="5GB")

    return base


def changed(
    base: Path, folder: Path, change: Callable[[Tensors], object], **config: object
) -> Path:
    """A copy of the base with its tensors changed, and its config.json."""
    tensors = load_file(base / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    values = {**json.loads((base / "config.json").read_text()), **config}
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def refused(base: Path) -> str:
    with pytest.raises(UserError) as told:
        check_keys(base)
    assert "\n" not in str(told.value) and str(told.value).startswith(f"{base}")
    return str(told.value)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_architecture_is_whole(bases: Callable[[str], Path], shape: str) -> None:
    unused = check_keys(bases(shape))
    parts = {"other parts of a multimodal model": 34}
    assert unused == Counter(parts if shape == "gemma3-vision" else {})


MISSING = {
    "llama": "lm_head.weight",
    "qwen2": PLACE + "gate_proj.weight",
    "qwen3": "model.norm.weight",
    "phi3": PLACE + "gate_up_proj.weight",
    "qwen3-moe": PLACE + "experts.2.up_proj.weight",
    "mixtral": "model.layers.1.block_sparse_moe.experts.7.w2.weight",
    "deepseek2": PLACE + "shared_experts.down_proj.weight",
    "gemma3-vision": "language_model.model.layers.3.self_attn.q_norm.weight",
}


@pytest.mark.parametrize("shape", MISSING)
def test_a_missing_weight_is_named(
    bases: Callable[[str], Path], shape: str, tmp_path: Path
) -> None:
    name = MISSING[shape]
    folder = changed(bases(shape), tmp_path, lambda tensors: tensors.pop(name))
    line = refused(folder)
    assert name.removeprefix("language_model.") in line and "missing" in line
    assert "training would start them at random" in line


def test_the_load_refuses_it_too(bases: Callable[[str], Path], tmp_path: Path) -> None:
    """Whatever way a base came into a run: transformers would go on with random numbers."""
    folder = changed(bases("llama"), tmp_path, lambda tensors: tensors.pop("lm_head.weight"))
    with pytest.raises(UserError, match=r"1 weight of LlamaForCausalLM missing: lm_head\.weight"):
        load_causal(folder)


def test_many_missing_weights_are_counted(bases: Callable[[str], Path], tmp_path: Path) -> None:
    folder = changed(bases("llama"), tmp_path, lambda tensors: None, num_hidden_layers=3)
    line = refused(folder)
    assert "9 weights of LlamaForCausalLM missing: model.layers.2.input_layernorm.weight, " in line
    assert "and 6 more" in line


def test_another_shape_is_an_error(bases: Callable[[str], Path], tmp_path: Path) -> None:
    folder = changed(bases("llama"), tmp_path, lambda tensors: None, intermediate_size=96)
    line = refused(folder)
    assert "6 weights not of the shape that LlamaForCausalLM has" in line
    assert "model.layers.0.mlp.down_proj.weight is 64 x 128 instead of 64 x 96" in line
    with pytest.raises(UserError, match="64 x 128 instead of 64 x 96"):
        load_causal(folder)


def test_a_tensor_without_a_place_is_an_error(bases: Callable[[str], Path], tmp_path: Path) -> None:
    """A bias, or a layer more than config.json says, would be left out without a word."""

    def add(tensors: Tensors) -> None:
        tensors["model.layers.0.mlp.up_proj.bias"] = torch.zeros(128)

    line = refused(changed(bases("llama"), tmp_path, add))
    assert "1 stored tensor unknown to LlamaForCausalLM: model.layers.0.mlp.up_proj.bias" in line
    line = refused(changed(bases("llama"), tmp_path, lambda t: None, num_hidden_layers=1))
    assert "9 stored tensors unknown to LlamaForCausalLM: model.layers.1." in line


def test_packed_weights_without_a_word_in_config_are_an_error(
    bases: Callable[[str], Path], tmp_path: Path
) -> None:
    def pack(tensors: Tensors) -> None:
        tensors[PLACE + "up_proj.weight"] = torch.zeros(4096, 1, dtype=torch.uint8)

    line = refused(changed(bases("llama"), tmp_path, pack))
    assert f"{PLACE}up_proj.weight is stored as U8 (use the full-precision base model" in line


def test_what_may_be_left_out_is_counted(bases: Callable[[str], Path], tmp_path: Path) -> None:
    def add(tensors: Tensors) -> None:
        for layer in range(2):
            tensors[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = torch.ones(8)
        tensors["model.mtp_layers.0.mlp.up_proj.weight"] = torch.ones(4, 4)
        tensors["model.layers.2.eh_proj.weight"] = torch.ones(4, 4)

    folder = changed(bases("llama"), tmp_path, add, num_nextn_predict_layers=1)
    assert check_keys(folder) == {"rotary tables and masks": 2, "multi-token prediction": 2}
    (found,) = check_tensors(Candidate(folder, Preset()))
    counts = "2 (multi-token prediction), 2 (rotary tables and masks)"
    assert (found.level, str(found)) == ("note", f"stored tensors not used: {counts}")


def test_nothing_is_noted_of_a_base_that_is_all_used(bases: Callable[[str], Path]) -> None:
    assert list(check_tensors(Candidate(bases("llama"), Preset()))) == []


def test_a_tied_head_that_is_stored_is_whole(bases: Callable[[str], Path], tmp_path: Path) -> None:
    def add(tensors: Tensors) -> None:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"] + 1

    assert check_keys(changed(bases("qwen2"), tmp_path, add)) == {}


def test_settings_that_contradict_each_other(bases: Callable[[str], Path], tmp_path: Path) -> None:
    folder = changed(bases("qwen2"), tmp_path, lambda tensors: None, num_hidden_layers=3)
    line = "cannot be loaded: `num_hidden_layers` (3) must be equal to the number of `layer_types`"
    assert line in refused(folder)


def test_a_model_that_transformers_does_not_know(
    bases: Callable[[str], Path], tmp_path: Path
) -> None:
    """One line also where the repository brings code of its own, which is not run."""
    for config in (
        {"model_type": "novel"},
        {"model_type": "novel", "auto_map": {"AutoConfig": "a.B"}},
    ):
        folder = changed(bases("llama"), tmp_path, lambda tensors: None, **config)
        assert "this base model cannot be loaded: " in refused(folder)
