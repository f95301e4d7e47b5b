"""The loss of a given answer: the right tokens, and the number that transformers computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests import tiny
from tests.dataset.helpers import encode_rows
from tests.inference.helpers import CHATML, END, Tiny
from workbench.core.errors import UserError
from workbench.dataset.rows import Message, Place, Row
from workbench.inference import logprobs
from workbench.inference.decoder import BATCH_TOKENS, Decoder
from workbench.inference.llama_model import LlamaModel
from workbench.inference.logprobs import PromptAndAnswer, answer_loss, prompt_and_answer_ids
from workbench.inference.prompt_tokens import model_chat_template, prompt_ids
from workbench.pipeline.export.plan import plan_export
from workbench.pipeline.export.streaming import run_export
from workbench.pipeline.models.weights import Weights
from workbench.tokenization.chat_template import ChatTemplate
from workbench.tokenization.tokenizer import from_backend

TALKS = [
    ("hello", "the one"),
    ("def UserList", "def UserList(attributes) {\n}"),
    ("x" * 40, "größer ✓ " * 120),
    ("say <|im_end|> here", "no <|im_end|> here\n"),
]


def talk(question: str, answer: str) -> tuple[Message, ...]:
    return Message("user", question), Message("assistant", answer)


def text_of(model: LlamaModel, ids: Sequence[int]) -> str:
    return b"".join(map(model.piece, ids)).decode()


@pytest.mark.parametrize("said", TALKS)
def test_the_answer_is_what_follows_the_prompt_up_to_its_end(
    tiny_model: LlamaModel, said: tuple[str, str]
) -> None:
    template, messages = model_chat_template(tiny_model), talk(*said)
    found = prompt_and_answer_ids(tiny_model, template, messages)
    assert found.prompt == prompt_ids(tiny_model, template, messages[:1])
    assert found.answer[-1] == END and END not in found.answer[:-1]
    assert text_of(tiny_model, found.answer) == said[1] + "<|im_end|>"


def test_a_template_that_writes_answers_otherwise_is_told(
    load_tiny: Callable[[Tiny], LlamaModel],
) -> None:
    model = load_tiny(Tiny())
    other = ChatTemplate(CHATML.replace("assistant\n", "robot\n"))
    with pytest.raises(UserError, match="does not continue its own generation prompt"):
        prompt_and_answer_ids(model, other, talk("a", "b"))
    silent = ChatTemplate("{% if add_generation_prompt %}x{% else %}x{% endif %}")
    with pytest.raises(UserError, match="leaves the prompt or the response empty"):
        prompt_and_answer_ids(model, silent, talk("a", "b"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A random Qwen2 as a GGUF in F32, and the same as transformers has it."""
    folder = tmp_path_factory.mktemp("exported")
    base = tiny.save_base(folder / "base", "qwen2")
    plan = plan_export(
        Weights(base), ["f32"], base, chat_template=tiny.CHATML, end_of_turn="<|im_end|>"
    )
    run_export(plan, {"f32": folder / "f32.gguf"}, threads=1)
    return folder / "f32.gguf", tiny.model("qwen2")


@torch.no_grad()
def peer_loss(model: Any, found: PromptAndAnswer) -> float:
    ids = torch.tensor([found.prompt + found.answer])
    logits = model(ids).logits[0, len(found.prompt) - 1 : -1].double()
    losses = torch.nn.functional.cross_entropy(logits, ids[0, len(found.prompt) :], reduction="sum")
    return float(losses)


@pytest.mark.parametrize("at_once", [1 << 30, 7])
def test_the_loss_is_that_of_transformers(
    exported: tuple[Path, Any], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where logits are had in many small calls. llama.cpp caches in F16, hence the margin."""
    monkeypatch.setattr(logprobs, "_rows_at_once", lambda _model: at_once)
    path, peer = exported
    model = LlamaModel(path)
    decoder = Decoder(model, context=1024)
    try:
        all_found = [
            prompt_and_answer_ids(model, model_chat_template(model), talk(*said)) for said in TALKS
        ]
        assert max(found.n_tokens for found in all_found) > BATCH_TOKENS
        for found in all_found:
            assert answer_loss(decoder, found) / len(found.answer) == pytest.approx(
                peer_loss(peer, found) / len(found.answer), abs=2e-3
            )
    finally:
        decoder.close()
        model.close()


def test_the_weighed_tokens_are_those_that_training_learns(exported: tuple[Path, Any]) -> None:
    tokenizer = tiny.tokenizer()
    stop = tokenizer.convert_tokens_to_ids("<|im_end|>")
    rows = [Row(Place("f", n + 1), talk(*said)) for n, said in enumerate(TALKS)]
    encoding = encode_rows(
        rows,
        ChatTemplate(tiny.CHATML),
        from_backend(tokenizer.backend_tokenizer),
        sequence_length=4096,
        stop_ids=[stop],
    )
    model = LlamaModel(exported[0])
    for row, entry in zip(rows, encoding.sequences, strict=True):
        found = prompt_and_answer_ids(model, model_chat_template(model), row.messages)
        trained = [i for i, learnt in zip(entry.ids, entry.trained, strict=True) if learnt]
        assert found.answer == trained
        assert entry.ids[: found.n_tokens].tolist() == found.prompt + trained
    model.close()


@given(st.integers(1, 3000), st.integers(0, 2999), st.integers(1, 700))
def test_calls_cover_everything_within_their_bounds(n: int, first: int, at_once: int) -> None:
    first = min(first, n - 1)
    begin = first // 2
    calls = list(logprobs._calls(begin, n, first, at_once))
    assert [token for start, end in calls for token in range(start, end)] == list(range(begin, n))
    for start, end in calls:
        assert end - start <= BATCH_TOKENS and end - max(start, first) <= at_once


def test_the_logits_of_one_call_are_bounded() -> None:
    large: Any = SimpleNamespace(n_vocab=262_144)
    rows = logprobs._rows_at_once(large)
    assert rows * 4 * large.n_vocab <= logprobs.LOGIT_BYTES and rows >= 32


def test_an_answer_that_the_model_is_sure_of_costs_nothing(
    load_tiny: Callable[[Tiny], LlamaModel],
) -> None:
    model = load_tiny(Tiny(says=b"Helo wrd!"))
    decoder = Decoder(model, context=128)
    sure, wrong = (
        prompt_and_answer_ids(model, model_chat_template(model), talk("x", a))
        for a in ("Helo wrd!", "o!")
    )
    losses = [answer_loss(decoder, found) for found in (sure, wrong)]
    decoder.close()
    assert losses[0] < 0.05 and losses[1] > 5 and all(map(math.isfinite, losses))
