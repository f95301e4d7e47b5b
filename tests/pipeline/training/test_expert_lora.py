"""Experts in training: every one learns, as in plain PEFT; what is saved merges and exports."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, GptOssConfig

from tests.pipeline.export.helpers import export, save_base
from tests.pipeline.training.helpers import Bench, stage_settings
from workbench.bases.targets import TargetGroup
from workbench.core.errors import Interrupted
from workbench.pipeline.models.causal_lm import load_causal
from workbench.pipeline.models.weights import Weights
from workbench.pipeline.training import expert_lora
from workbench.pipeline.training import model as models
from workbench.pipeline.training.adapted import wraps_parameter
from workbench.pipeline.training.model import Adapter
from workbench.run import events

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

EXPERTS = {"qwen2-moe": 4, "qwen3-moe": 4, "mixtral": 8, "deepseek2": 4}  # of a layer
IDS = torch.arange(5, 65).view(2, 30)
SETTINGS = {"targets": ["mlp", "router", "q_proj"]}  # all kinds of matrices; DeepSeek's dense layer


@dataclass
class Trained:
    """A stage of a few steps over a mixture, and the folder of its adapter."""

    family: str
    bench: Bench
    adapter: Path
    told: list[events.Event]

    @property
    def plan(self) -> events.TrainingPlanned:
        return next(one for one in self.told if isinstance(one, events.TrainingPlanned))


@pytest.fixture(scope="module", params=EXPERTS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    bench = Bench(tmp_path_factory.mktemp(request.param))
    shutil.rmtree(bench.base)
    save_base(bench.base, request.param)
    _, told = bench.train(settings=stage_settings(adapter=SETTINGS, max_steps=6))
    return Trained(request.param, bench, bench.adapter().parent, told)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return torch.as_tensor(model.eval()(input_ids=IDS).logits)


def loaded(base: Path) -> Any:
    return models.load(Weights(base), device=torch.device("cpu"), dtype=torch.float32)


def test_every_expert_and_every_other_target_has_learnt(trained: Trained) -> None:
    tensors = load_file(trained.adapter / "adapter_model.safetensors")
    count, stacks = EXPERTS[trained.family], 0
    for name, factor in tensors.items():
        if "lora_B" not in name:
            continue
        if ".experts." in name:  # every count-th column is an expert's
            stacks += 1
            parts = [factor[:, number::count] for number in range(count)]
            assert all(part.abs().max() > 0 for part in parts), name
        else:
            assert factor.abs().max() > 0, name
    assert stacks == (2 if trained.family == "deepseek2" else 4), "its first layer is dense"
    told = [TargetGroup(**one) for one in trained.plan.targets]
    assert sum(one.modules * one.parameters for one in told) == trained.plan.trainable_parameters
    assert sum(one.experts == count for one in told) == 2


def test_plain_peft_computes_the_same(trained: Trained) -> None:
    config = json.loads((trained.adapter / "adapter_config.json").read_text())
    assert config["lora_dropout"] == 0 and config["target_parameters"]
    ours = models.attach_adapter(
        loaded(trained.bench.base),
        Adapter(rank=8, alpha=16.0, targets=tuple(SETTINGS["targets"]), carry=True),
        seed=7,
        continued_adapter=trained.adapter,
    )
    theirs = PeftModel.from_pretrained(load_causal(trained.bench.base), trained.adapter)
    base, found = logits(load_causal(trained.bench.base)), logits(ours)
    assert (found - base).abs().max() > 0.1
    assert torch.allclose(found, logits(theirs), atol=2e-5)
    assert torch.allclose(found, logits(theirs.merge_and_unload()), atol=5e-5)
    again = loaded(trained.bench.base)
    merged = models.load(
        Weights(trained.bench.base, (trained.adapter,)),
        device=torch.device("cpu"),
        dtype=torch.float32,
    )
    assert torch.allclose(logits(merged), found, atol=5e-5)
    assert torch.equal(logits(again), base)


def test_an_exported_file_holds_pefts_merge(trained: Trained, tmp_path: Path) -> None:
    base = trained.bench.base
    merged = PeftModel.from_pretrained(load_causal(base), trained.adapter).merge_and_unload()
    folder = shutil.copytree(base, tmp_path / "merged", ignore=lambda *_: ["adapters"])
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    merged.save_pretrained(folder)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    ours = export(Weights(base, (trained.adapter,)), tmp_path / "one", "f16")["f16"]
    theirs = export(Weights(folder), tmp_path / "two", "f16")["f16"]
    found, wanted = dequantized(ours), dequantized(theirs)
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-3, atol=2e-6, err_msg=name)
    plain = dequantized(export(Weights(base), tmp_path, "f16")["f16"])
    changed = {name for name, values in plain.items() if not np.array_equal(values, found[name])}
    last = max(int(name.split(".")[1]) for name in changed)
    kinds = {name.split(".")[2] for name in changed if name.startswith(f"blk.{last}.")}
    assert {"ffn_gate_exps", "ffn_up_exps", "ffn_down_exps", "ffn_gate_inp", "attn_q"} <= kinds


def dequantized(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    tensors = gguf.GGUFReader(path).tensors
    return {t.name: gguf.dequantize(t.data, t.tensor_type) for t in tensors}


def test_a_resumed_stage_ends_with_the_same_bits(trained: Trained) -> None:
    bench, calls = trained.bench, 0

    def should_stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > 3

    settings = stage_settings(adapter=SETTINGS, max_steps=6)
    with pytest.raises(Interrupted):
        bench.train("resumed", settings=settings, should_stop=should_stop)
    bench.train("resumed", settings=settings)
    one, two = load_file(bench.adapter()), load_file(bench.adapter("resumed"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def attached(config: Any, *, dropout: float = 0.0, dtype: torch.dtype = torch.float32) -> Any:
    torch.manual_seed(0)
    plain = AutoModelForCausalLM.from_config(config).to(dtype)
    plain.config.use_cache = False
    for parameter in plain.parameters():
        parameter.requires_grad_(False)
    made = models.attach_adapter(plain, Adapter(rank=4, dropout=dropout), seed=1)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    return made


def as_peft(made: Any) -> Any:
    """The same model with PEFT's own forward in every layer."""
    for module in made.modules():
        module.__dict__.pop("forward", None)
    return made


def gradients(made: Any) -> dict[str, torch.Tensor]:
    made.zero_grad()
    out = made.train()(input_ids=IDS).logits.float()
    out.pow(2).mean().backward()
    return {name: p.grad.clone() for name, p in made.named_parameters() if p.requires_grad}


GPT_OSS = GptOssConfig(
    vocab_size=100,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    num_local_experts=4,
    num_experts_per_tok=2,
    initializer_range=0.2,
    attn_implementation="eager",
)


def test_gradients_are_those_of_peft() -> None:
    """Of transposed, interleaved matrices with biases; the usual ones by a whole training above."""
    made = attached(GPT_OSS)
    layers = [m for m in made.modules() if wraps_parameter(m) and "forward" in m.__dict__]
    assert len(layers) == 2
    found, computed = gradients(made), logits(made)
    wanted = gradients(as_peft(made))
    assert torch.allclose(computed, logits(made), atol=1e-5)
    assert found.keys() == wanted.keys() and any(".experts." in name for name in found)
    for name, gradient in wanted.items():
        assert gradient.abs().max() > 0, name
        assert torch.allclose(found[name], gradient, rtol=1e-3, atol=1e-7), name


def test_dropout_is_before_the_factors_and_only_in_training() -> None:
    made = attached(GPT_OSS, dropout=0.5)
    still = logits(made)
    made.train()
    drawn = [made(input_ids=IDS).logits for _ in range(2)]
    assert not torch.equal(*drawn)
    assert torch.equal(logits(made), still)
    assert torch.allclose(logits(as_peft(made)), still, atol=1e-5)


def test_sixteen_bit_experts_have_factors_in_float32() -> None:
    made = attached(GPT_OSS, dtype=torch.bfloat16)
    factors = [p for name, p in made.named_parameters() if "lora_" in name]
    assert {p.dtype for p in factors} == {torch.float32}
    found, wanted = logits(made).float(), logits(as_peft(made)).float()
    assert (found - wanted).abs().mean() < 0.05 * wanted.abs().mean(), "some choose other experts"
    assert all(one.abs().max() > 0 for one in gradients(made).values())


def test_an_adapter_that_is_off_leaves_the_base(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "qwen3-moe")
    made = models.attach_adapter(loaded(base), Adapter(rank=4), seed=1)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    plain = logits(loaded(base))
    assert (logits(made) - plain).abs().max() > 0.1
    with made.disable_adapter():
        assert torch.allclose(logits(made), plain, atol=1e-6)
    assert expert_lora.join(made) == 2
