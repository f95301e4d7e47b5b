"""A text is weighed and answered the same whatever other texts are: also where llama.cpp switches.

A model of longrope has other rotary factors in a context above its original one of 256 tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from tests import tiny
from tests.inference.helpers import write_tiny
from tests.pipeline.evaluation.helpers import row
from tests.pipeline.export.helpers import save_base, save_tokenizer
from workbench.core.sampling import SamplingParams
from workbench.dataset.rows import Row
from workbench.inference.llama_model import LlamaModel
from workbench.inference.logprobs import prompt_and_answer_ids
from workbench.inference.prompt_tokens import model_chat_template
from workbench.pipeline.evaluation.answer_store import expected_of
from workbench.pipeline.evaluation.gguf_answerer import GgufAnswerer
from workbench.pipeline.evaluation.questions import (
    ExpectedLoss,
    GenerationSettings,
    Question,
    Reply,
)
from workbench.pipeline.export.plan import plan_export
from workbench.pipeline.export.streaming import run_export
from workbench.pipeline.models.causal_lm import load_causal
from workbench.pipeline.models.weights import Weights

SHORT = row("Which?", "The first one, as far as I can see from here.")
LONG = row("Say it again and again.", "again and " * 35)
GREEDY = SamplingParams(temperature=0.0, max_tokens=40)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_base(tmp_path_factory.mktemp("longrope") / "base", "phi3-longrope")
    save_tokenizer(folder, chat_template=tiny.CHATML)
    return folder


@pytest.fixture(scope="module")
def gguf(base: Path) -> Path:
    path = base.parent / "f32.gguf"
    plan = plan_export(Weights(base), ["f32"], base, chat_template=tiny.CHATML)
    run_export(plan, {"f32": path}, threads=1)
    return path


def weigh(gguf: Path, rows: Sequence[Row]) -> list[ExpectedLoss]:
    answerer = GgufAnswerer(gguf, GenerationSettings(GREEDY, context=512), threads=1)
    try:
        return list(answerer.weigh(expected_of(rows), (), lambda: False))
    finally:
        answerer.close()


def replies(gguf: Path, rows: Sequence[Row]) -> dict[int, Reply]:
    answerer = GgufAnswerer(gguf, GenerationSettings(GREEDY, context=512), threads=1)
    questions = [
        Question(index, 0, one.prompt_messages(), seed=1) for index, one in enumerate(rows)
    ]
    try:
        return {one.index: one for one in answerer.replies(questions, (), lambda: False)}
    finally:
        answerer.close()


def test_a_text_weighs_the_same_beside_a_longer_one(gguf: Path, base: Path) -> None:
    (alone,), together = weigh(gguf, [SHORT]), weigh(gguf, [SHORT, LONG])
    assert not any(one.problem for one in together)
    assert together[0] == alone
    reference = load_causal(base, dtype=torch.float32, attn_implementation="eager")
    model = LlamaModel(gguf)
    try:
        for one, text in zip(together, (SHORT, LONG), strict=True):
            given = prompt_and_answer_ids(model, model_chat_template(model), text.messages, ())
            assert (given.n_tokens > 256) == (text is LONG)
            assert one.nats == pytest.approx(loss(reference, given.prompt, given.answer), rel=1e-3)
    finally:
        model.close()


@torch.no_grad()
def loss(model: object, prompt: list[int], answer: list[int]) -> float:
    logits = model(torch.tensor([[*prompt, *answer]]), use_cache=False).logits[0]  # type: ignore[operator]
    chosen = logits[len(prompt) - 1 : -1].log_softmax(-1)
    return -float(chosen[range(len(answer)), answer].sum())


def test_a_prompt_is_answered_the_same_beside_a_longer_one(gguf: Path) -> None:
    longer = row("again and " * 30)
    found = replies(gguf, [SHORT, longer, SHORT])
    assert not any(one.problem for one in found.values()) and len(found) == 3
    assert found[0].text == replies(gguf, [SHORT, SHORT])[0].text


def test_in_one_context_it_would_not(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without groups the short text is read with the factors for long ones."""
    (alone,) = weigh(gguf, [SHORT])
    monkeypatch.setattr(LlamaModel, "takes_long_factors", lambda *_: False)
    assert abs(weigh(gguf, [SHORT, LONG])[0].nats - alone.nats) > 1e-2


def test_a_context_takes_long_factors_above_the_original_one(gguf: Path, tmp_path: Path) -> None:
    model = LlamaModel(gguf)
    found = [model.takes_long_factors(n) for n in (1, 200, 256, 257, 512)]
    model.close()
    assert found == [False, False, False, True, True]
    other = LlamaModel(write_tiny(tmp_path / "tiny.gguf"))
    assert not other.takes_long_factors(10_000)
    other.close()
