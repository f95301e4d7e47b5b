"""Adapters of a mixture from stage to stage: carried on, merged, or laid beneath the next one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from tests.pipeline.export.helpers import config_for, parities, save_base
from tests.pipeline.training.helpers import Bench, stage_settings
from workbench.bases.targets import TargetGroup
from workbench.core.errors import UserError
from workbench.pipeline.models.causal_lm import load_causal
from workbench.pipeline.models.structure import matrices_of
from workbench.pipeline.training import model as models
from workbench.pipeline.training.adapted import named_targets, trained_groups
from workbench.pipeline.training.model import Adapter
from workbench.preset.schema import Model
from workbench.run import events

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def bench_of(root: Path, shape: str) -> Bench:
    bench = Bench(root, count=24)
    shutil.rmtree(bench.base)
    save_base(bench.base, shape)
    return bench


def losses(told: list[events.Event]) -> list[float]:
    return [one.loss for one in told if isinstance(one, events.Validated)]


@pytest.mark.parametrize(
    ("quantization", "then"), [("none", "carry"), ("none", "new"), ("nf4", "new"), ("nf4", "carry")]
)
def test_the_next_stage_begins_where_the_first_ended(
    tmp_path: Path, quantization: str, then: str
) -> None:
    """DeepSeek has all of it: experts, shared ones, a dense layer with names like experts'."""
    bench = bench_of(tmp_path, "deepseek2")
    model = Model.model_validate({"device": "cpu", "quantization": quantization})
    still = {"dropout": 0.0}
    one = stage_settings(name="one", adapter=still, evaluate_every=0.0, max_steps=6)
    first, told = bench.train(settings=one, model=model)
    after = still | {"continue": then}
    two = stage_settings(name="two", adapter=after, learning_rate=1e-9, max_steps=1)
    second, later = bench.train(settings=two, weights=first.take("last"), model=model)
    assert losses(later)[0] == pytest.approx(losses(told)[-1], abs=1e-4)
    plans = [next(e for e in t if isinstance(e, events.TrainingPlanned)) for t in (told, later)]
    assert plans[0].targets == plans[1].targets and len(plans[0].targets) == 12
    names = [load_file(bench.adapter("run", "final", stage)).keys() for stage in ("one", "two")]
    assert names[0] == names[1] and not any("beneath" in name for name in names[1])
    assert len(second.weights.adapters) == (1 if then == "carry" else 2)
    assert parities(second.weights, tmp_path, "f32")["f32"].kl_mean <= 1e-6


def attached(base: Path, **settings: Any) -> Any:
    model = load_causal(base)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return models.attach_adapter(model, Adapter(rank=4, **settings), seed=1)


def saved(made: Any, folder: Path) -> dict[str, Any]:
    made.save_pretrained(folder)
    values: dict[str, Any] = json.loads((folder / "adapter_config.json").read_text())
    return values


def shapes(made: Any) -> dict[str, torch.Size]:
    return {name: p.shape for name, p in models.trainable(made).items()}


@pytest.mark.parametrize(
    "settings",
    [
        {"last_layers": 1},
        {"targets": ("shared_experts.gate_proj", "layers.1.self_attn.o_proj")},
        {"targets": ("layers.1.mlp.experts.down_proj", "router")},
        {"targets": ("experts",), "rslora": True},
        {"targets": ("layers.0.mlp",)},
    ],
    ids=lambda settings: " ".join(map(str, settings.values())),
)
def test_plain_peft_finds_the_same_modules(tmp_path: Path, settings: dict[str, Any]) -> None:
    base = save_base(tmp_path / "base", "deepseek2", layers=3)
    made = attached(base, **settings)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    config = saved(made, tmp_path / "adapter")
    assert config["lora_dropout"] == 0
    theirs = PeftModel.from_pretrained(load_causal(base), tmp_path / "adapter", is_trainable=True)
    assert shapes(theirs) == shapes(made)
    ids = torch.arange(5, 40)[None]
    with torch.no_grad():
        assert torch.allclose(made.eval()(ids).logits, theirs.eval()(ids).logits, atol=2e-5)


def test_a_dense_model_is_named_as_ever(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "qwen2")
    config = saved(attached(base, dropout=0.1, last_layers=1), tmp_path / "adapter")
    names = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    assert sorted(config["target_modules"]) == names
    assert config["target_parameters"] is None
    assert (config["lora_dropout"], config["layers_to_transform"]) == (0.1, [1])


def test_dropout_stands_before_linear_layers_of_a_mixture(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "qwen2-moe")
    made = attached(base, dropout=0.25)
    shares = {
        name: module.lora_dropout["default"].p
        for name, module in made.named_modules()
        if hasattr(module, "lora_dropout") and "default" in module.lora_dropout
    }
    assert set(shares.values()) == {0.25} and len(shares) == 2 * (4 + 2 + 3)


def test_paths_are_given_where_names_say_too_much() -> None:
    made = AutoModelForCausalLM.from_config(config_for("deepseek2"))
    chosen = [one for one in matrices_of(made) if "shared" in one.path or "gate.weight" in one.path]
    found = named_targets(made, chosen, None)
    shared = "model.layers.1.mlp.shared_experts"
    assert found["target_modules"] == [
        f"{shared}.{name}" for name in ("gate_proj", "up_proj", "down_proj")
    ]
    assert found["target_parameters"] == ["gate.weight"] and found["layers_to_transform"] is None


def test_dora_on_experts_is_refused(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "qwen3-moe")
    with pytest.raises(UserError, match="DoRA cannot train experts"):
        attached(base, kind="dora")
    found = trained_groups(attached(base, kind="dora", targets="attention"))
    assert found[0] == TargetGroup("model.layers.*.self_attn.q_proj", 2, 0, 4 * 192 + 128)
