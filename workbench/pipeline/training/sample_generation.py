"""Answers of the model in training to a few fixed prompts, all of them side by side.

Invariant: asking changes nothing that training stands on. The mode, the attention function and
the random numbers are what they were before, and no parameter is touched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig

from workbench.core.sampling import SamplingParams
from workbench.objectives.base import SamplePrompt
from workbench.pipeline.models.causal_lm import causal_model
from workbench.pipeline.models.rotary import keeps_frequencies

LIMIT_S = 30.0  # a model that is slower than that on its answers is shown what it has said so far


@dataclass(frozen=True)
class Sample:
    """What the model said; `stopped` by itself, not by the limit."""

    text: str
    stopped: bool


@dataclass(frozen=True)
class SampleSettings:
    """How answers are drawn and turned into text. `stop_ids` and `stops` end one."""

    sampling: SamplingParams
    decode: Callable[[list[int]], str]
    stop_ids: Sequence[int] = ()
    stops: Sequence[str] = ()
    pad_id: int = 0
    should_stop: Callable[[], bool] = field(default=lambda: False)


def generate_samples(
    model: Any, prompts: Sequence[SamplePrompt], asking: SampleSettings
) -> list[Sample]:
    """The answers of `model` to `prompts`, in their order; same weights, same answers."""
    causal = causal_model(model)
    device = causal.get_input_embeddings().weight.device
    ids, mask = _left_padded([prompt.ids for prompt in prompts], asking.pad_id)
    most = asking.sampling.max_tokens
    caching = all(keeps_frequencies(causal, len(p.ids), len(p.ids) + most) for p in prompts)
    with _as_it_was(model, causal), torch.no_grad():
        torch.manual_seed(asking.sampling.seed)
        drawn = causal.generate(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            generation_config=_generation(asking, caching),
            stopping_criteria=[_Stop(asking.should_stop)],
        )
    return [_told(row, asking) for row in drawn[:, ids.shape[1] :].tolist()]


def _left_padded(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Ids and mask (rows, longest): all prompts end where the answers begin."""
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for line, row in enumerate(rows):
        ids[line, width - len(row) :] = torch.tensor(row)
        mask[line, width - len(row) :] = 1
    return ids, mask


@contextmanager
def _as_it_was(model: Any, causal: Any) -> Iterator[None]:
    """In here the model is in evaluation, with an attention that knows caches and padding."""
    training, attention = model.training, causal.config._attn_implementation
    capped = getattr(causal.config.get_text_config(), "attn_logit_softcapping", None)
    cuda = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(cuda):
        model.eval()
        causal.set_attn_implementation("eager" if capped else "sdpa")  # SDPA cannot cap scores
        try:
            yield
        finally:
            causal.set_attn_implementation(attention)
            model.train(training)


def _generation(asking: SampleSettings, caching: bool) -> GenerationConfig:
    """Every number said, so that none comes from the base's own generation_config.

    Without `caching` every token is computed from the whole sequence.
    """
    sampling = asking.sampling
    drawing: dict[str, Any] = {"do_sample": False}
    if not sampling.greedy:
        drawing = {
            "do_sample": True,
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "min_p": sampling.min_p or None,
        }
    return GenerationConfig(
        max_new_tokens=sampling.max_tokens,
        repetition_penalty=sampling.repeat_penalty,
        eos_token_id=list(asking.stop_ids) or None,
        pad_token_id=asking.pad_id,
        use_cache=caching,
        **drawing,
    )


class _Stop:
    """Ends all answers when the run is to stop, or after `LIMIT_S`."""

    def __init__(self, should_stop: Callable[[], bool]) -> None:
        self._stopping, self._until = should_stop, time.monotonic() + LIMIT_S

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:  # (rows,) of bool
        ended = self._stopping() or time.monotonic() > self._until
        return torch.full((len(input_ids),), ended, device=input_ids.device)


def _told(ids: list[int], asking: SampleSettings) -> Sample:
    ends = [ids.index(stop) for stop in asking.stop_ids if stop in ids]
    text = asking.decode(ids[: min(ends)] if ends else ids)
    cuts = [at for stop in asking.stops if (at := text.find(stop)) >= 0]
    return Sample(text[: min(cuts)] if cuts else text, stopped=bool(ends or cuts))
