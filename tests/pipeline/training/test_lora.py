"""LoRA's layers as one node: PEFT's own numbers, and PEFT's own way wherever they do not apply."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import nn

from tests import tiny
from workbench.pipeline.training import lora, model
from workbench.pipeline.training.model import Adapter

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

IDS = torch.arange(4, 44).view(2, 20)


def adapted(base: str, join: bool, **settings: Any) -> Any:
    """A tiny model with an adapter whose B is not zero any more."""
    frozen = tiny.model(base)
    for parameter in frozen.parameters():
        parameter.requires_grad_(False)
    made = model._attached(frozen, Adapter(rank=4, **settings), 1, None, ())
    torch.manual_seed(3)
    for name, parameter in made.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    if join:
        assert lora.fuse_lora_layers(made) > 0
    return made.train()


def results(made: Any) -> dict[str, torch.Tensor]:
    """The logits, and the gradient of every trained parameter."""
    torch.manual_seed(5)  # of the dropout
    logits = made(input_ids=IDS).logits
    (logits.float() ** 2).mean().backward()
    gradients = {name: p.grad for name, p in made.named_parameters() if p.grad is not None}
    return {"logits": logits.detach(), **gradients}


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("kind", ["llama", "qwen2", "gemma3", "phi3"])
def test_outputs_and_gradients_are_pefts(kind: str, dropout: float) -> None:
    theirs = results(adapted(kind, False, dropout=dropout))
    ours = results(adapted(kind, True, dropout=dropout))
    assert ours.keys() == theirs.keys() and len(ours) > 4
    for name, expected in theirs.items():
        torch.testing.assert_close(ours[name], expected, rtol=1e-4, atol=1e-6, msg=name)


def test_rslora_and_the_last_layers_alone_too() -> None:
    settings = {"rslora": True, "last_layers": 1}
    theirs, ours = (results(adapted("llama", join, **settings)) for join in (False, True))
    for name, expected in theirs.items():
        torch.testing.assert_close(ours[name], expected, rtol=1e-4, atol=1e-6, msg=name)


def test_what_is_not_plain_stays_with_peft() -> None:
    made = adapted("llama", False, kind="dora")
    assert lora.fuse_lora_layers(made) == 0
    half = adapted("llama", False)
    half.base_model.model.to(torch.bfloat16)  # the base alone is in 16 bits as it is trained
    for name, parameter in half.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()
    assert lora.fuse_lora_layers(half) == 0


def test_two_adapters_at_once_stay_with_peft(tmp_path: Path) -> None:
    adapted("llama", False).save_pretrained(tmp_path / "first")
    frozen = tiny.model("llama")
    made = model.attach_adapter(
        frozen, Adapter(rank=4), seed=2, frozen_adapters=[tmp_path / "first"]
    )
    layers = [m for m in made.modules() if type(m) is lora.LoraLayer]
    assert layers and not any(isinstance(m.forward, lora._Joined) for m in layers)


def test_without_its_adapter_the_model_is_the_base(tmp_path: Path) -> None:
    made = adapted("llama", True).eval()
    tuned = made(input_ids=IDS).logits
    with made.disable_adapter():
        torch.testing.assert_close(made(input_ids=IDS).logits, tiny.model("llama")(IDS).logits)
    made.save_pretrained(tmp_path)
    merged = PeftModel.from_pretrained(tiny.model("llama"), tmp_path).merge_and_unload()
    torch.testing.assert_close(merged(input_ids=IDS).logits, tuned, rtol=1e-4, atol=1e-5)
    made.merge_adapter()
    torch.testing.assert_close(made(input_ids=IDS).logits, tuned, rtol=1e-4, atol=1e-5)
