"""Answers during training: right, the same every time, and without a trace in the model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import tiny
from workbench.core.sampling import SamplingParams
from workbench.objectives.base import SamplePrompt
from workbench.pipeline.models.causal_lm import causal_model
from workbench.pipeline.models.weights import Weights
from workbench.pipeline.training import model as models
from workbench.pipeline.training.model import Adapter
from workbench.pipeline.training.packed_attention import NAME
from workbench.pipeline.training.sample_generation import SampleSettings, generate_samples

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

EOS = 2
PROMPTS = [
    SamplePrompt("a", list(range(5, 17))),
    SamplePrompt("b", [20, 21, 22]),
    SamplePrompt("c", [30]),
]
GREEDY = SamplingParams(temperature=0.0, max_tokens=16)


def network(folder: Path, kind: str = "llama") -> Any:
    """A model as training has it: adapter attached, our attention, in training mode."""
    weights = Weights(tiny.save_base(folder / kind, kind))
    loaded = models.load(weights, device=torch.device("cpu"), dtype=torch.float32)
    made = models.attach_adapter(loaded, Adapter(dropout=0.5), seed=1)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.05)
    return made.train()


def asking(sampling: SamplingParams = GREEDY, **changes: Any) -> SampleSettings:
    plain = SampleSettings(sampling, lambda ids: " ".join(map(str, ids)), stop_ids=[EOS], pad_id=3)
    return dataclasses.replace(plain, **changes)


def one_by_one(model: Any, prompt: Sequence[int], tokens: int) -> list[int]:
    """The reference: no cache, no padding, no other prompt beside it, our attention."""
    causal, ids = causal_model(model).eval(), list(prompt)
    for _ in range(tokens):
        with torch.no_grad():
            ids.append(int(causal(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] == EOS:
            break
    return ids[len(prompt) :]


@pytest.mark.parametrize("kind", tiny.CONFIGS)
def test_side_by_side_with_a_cache_the_answers_are_those_of_one_by_one(
    tmp_path: Path, kind: str
) -> None:
    model = network(tmp_path, kind)
    found = generate_samples(model, PROMPTS, asking())
    for prompt, said in zip(PROMPTS, found, strict=True):
        wanted = one_by_one(model, prompt.ids, GREEDY.max_tokens)
        ended = wanted[-1] == EOS
        assert said.text == " ".join(map(str, wanted[:-1] if ended else wanted))
        assert said.stopped == ended


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    model = network(tmp_path)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(7)
    wanted = torch.rand(4)
    torch.manual_seed(7)
    generate_samples(model, PROMPTS, asking(SamplingParams(temperature=1.0, max_tokens=8)))
    assert torch.equal(torch.rand(4), wanted)
    assert model.training and causal_model(model).config._attn_implementation == NAME
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_drawn_answers_depend_on_their_seed_alone(tmp_path: Path) -> None:
    model = network(tmp_path)
    hot = SamplingParams(temperature=1.5, top_k=0, top_p=1.0, max_tokens=8)
    first = generate_samples(model, PROMPTS, asking(hot))
    torch.manual_seed(99)
    assert generate_samples(model, PROMPTS, asking(hot)) == first
    assert generate_samples(model, PROMPTS, asking(dataclasses.replace(hot, seed=43))) != first


def test_a_stop_text_ends_the_answer(tmp_path: Path) -> None:
    model = network(tmp_path)
    whole = generate_samples(model, PROMPTS[:1], asking())[0].text.split()
    cut = generate_samples(model, PROMPTS[:1], asking(stops=(whole[5],)))[0]
    assert cut.stopped and cut.text.split() == whole[: whole.index(whole[5])]


def test_asked_to_stop_it_stops(tmp_path: Path) -> None:
    said = generate_samples(network(tmp_path), PROMPTS, asking(should_stop=lambda: True))
    assert {len(one.text.split()) for one in said} == {1} and not said[0].stopped
