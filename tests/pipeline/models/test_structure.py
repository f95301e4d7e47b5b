"""Matrices read off the model and off its config.json alone: the same for every family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, GptOssConfig, GraniteMoeConfig, Llama4TextConfig

from tests import tiny
from tests.pipeline.export.helpers import SHAPES, config_for, save_base
from workbench.architectures.shape import shape_of
from workbench.bases.targets import resolve
from workbench.estimate.memory import BatchWork, MemorySettings, estimate
from workbench.estimate.stage import stage_groups
from workbench.pipeline.models.structure import base_matrices, config_matrices, matrices_of
from workbench.pipeline.training import model as models
from workbench.pipeline.training.adapted import trained_groups
from workbench.pipeline.training.model import Adapter
from workbench.preset.schema import TrainStage

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

OTHERS: dict[str, Any] = {
    "gpt-oss": lambda: GptOssConfig(num_local_experts=4, head_dim=8, **SMALL),
    "llama4": lambda: Llama4TextConfig(num_local_experts=4, head_dim=8, **SMALL),
    "granitemoe": lambda: GraniteMoeConfig(num_local_experts=4, **SMALL),
}
SMALL: dict[str, Any] = dict(
    vocab_size=100,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
)


@pytest.mark.parametrize("shape", SHAPES)
def test_of_every_exported_family_its_config_is_enough(shape: str) -> None:
    config = config_for(shape)
    light = shape_of(config.to_dict()).matrices
    assert list(light) == config_matrices(config.get_text_config(decoder=True))


@pytest.mark.parametrize("kind", ["lora", "dora", "router", "some", "last", "full", "ends"])
@pytest.mark.parametrize("shape", [*tiny.CONFIGS, "qwen2-moe", "qwen3-moe", "mixtral", "deepseek2"])
def test_what_is_told_before_is_what_the_network_trains(shape: str, kind: str) -> None:
    config = tiny.CONFIGS[shape](100) if shape in tiny.CONFIGS else config_for(shape)
    dense = shape in tiny.CONFIGS
    given: dict[str, dict[str, Any]] = {
        "lora": {},
        "dora": {"kind": "dora", "targets": "all-linear" if dense else "attention"},
        "router": {"targets": ["o_proj"] if dense else ["o_proj", "router"]},
        "some": {"targets": ["mlp.down_proj"] if dense else ["experts.down_proj", "layers.0"]},
        "last": {"last_layers": 1},
        "full": {"kind": "full"},
        "ends": {"targets": "attention", "modules_to_save": ["embed_tokens", "lm_head"]},
    }
    stage = TrainStage.model_validate({"adapter": {"rank": 4, "alpha": 8.0, **given[kind]}})
    adapter = stage.adapter
    plain = AutoModelForCausalLM.from_config(config)
    for parameter in plain.parameters():
        parameter.requires_grad_(False)
    targets = adapter.targets if isinstance(adapter.targets, str) else tuple(adapter.targets)
    settings = Adapter(
        kind=adapter.kind,
        rank=4,
        targets=targets,
        last_layers=adapter.last_layers,
        modules_to_save=tuple(adapter.modules_to_save),
    )
    made = models.attach_adapter(plain, settings, seed=1)
    trained, _ = models.count_parameters(made)
    known = shape_of(config.to_dict())
    setting = MemorySettings(
        kind=adapter.kind,
        rank=4,
        targets=targets,
        last_layers=adapter.last_layers,
        saved=len(adapter.modules_to_save),
    )
    foreseen = estimate(known, setting, BatchWork(1, 1, 1)).gradients / 4
    if kind == "ends" and known.tied:  # each end of the one matrix gives a gradient
        foreseen -= known.vocabulary * known.hidden
    if kind == "full":  # biases are left out
        assert foreseen == pytest.approx(trained, rel=0.01)
        return
    assert foreseen == trained
    told = {(one.pattern, one.modules, one.parameters) for one in stage_groups(known, stage)}
    found = {(one.pattern, one.modules, one.parameters) for one in trained_groups(made)}
    assert told == found
    assert sum(modules * parameters for _, modules, parameters in found) == trained


@pytest.mark.parametrize("name", OTHERS)
def test_of_other_families_the_model_itself_is_asked(name: str) -> None:
    found = config_matrices(OTHERS[name]())
    experts = [one for one in found if one.experts]
    assert [one.experts for one in experts] == [4] * 4
    assert len([one for one in found if one.is_router]) == 2
    assert not any(one.is_router for one in resolve(found, "all-linear"))
    up, down = experts[:2]
    assert (up.inputs, up.outputs, down.inputs, down.outputs) == (
        32,
        96,
        48,
        32,
    ) or name == "llama4"
    assert {one.is_folded for one in experts} == {name == "llama4"}


def test_a_base_is_read_by_its_config_and_again_when_that_changes(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "qwen3-moe")
    made = AutoModelForCausalLM.from_pretrained(base)
    for path in base.glob("*.safetensors*"):
        path.unlink()
    assert base_matrices(base) == matrices_of(made)
    text = (base / "config.json").read_text()
    changed = text.replace('"num_hidden_layers": 2', '"num_hidden_layers": 1')
    (base / "config.json").write_text(changed)
    assert {one.layer for one in base_matrices(base)} == {0}
