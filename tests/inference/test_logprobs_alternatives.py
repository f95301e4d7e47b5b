"""The tokens of an answer with their probabilities: transformers' own, and nothing is disturbed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests import tiny
from tests.inference.test_logprobs_likelihood import exported  # noqa: F401  (a fixture)
from workbench.core.sampling import SamplingParams
from workbench.dataset.rows import Message
from workbench.inference.logprobs import TokenLogprob, quoted
from workbench.inference.session import Session

ASK = [Message("user", "hello")]
GREEDY = SamplingParams(temperature=0, max_tokens=20)
WARM = SamplingParams(temperature=1.0, top_k=0, top_p=1.0, max_tokens=20)


@pytest.fixture
def session(tiny_gguf: Path) -> Iterator[Session]:
    with Session.open(tiny_gguf, context=512) as opened:
        yield opened


@torch.no_grad()
def test_probabilities_are_those_of_transformers(exported: tuple[Path, object]) -> None:  # noqa: F811
    path, model = exported
    with Session.open(path, context=512) as session:
        answer = session.answer(ASK, WARM)
        found = session.alternatives(3)
        given = session._last
        assert given and len(found) == answer.n_tokens == len(given.answer)
        ids = torch.tensor([given.prompt + given.answer])
        shares = model(ids).logits[0, len(given.prompt) - 1 : -1].softmax(-1)  # type: ignore[operator]
        for one, share, token in zip(found, shares, given.answer, strict=True):
            assert one.probability == pytest.approx(float(share[token]), abs=2e-3)
            best = share.topk(3).values.tolist()
            assert [p for _, p in one.likeliest] == pytest.approx(best, abs=2e-3)
    texts = [tiny.tokenizer().decode([token]) for token in given.answer]
    assert [one.text for one in found] == texts


def test_a_greedy_answer_is_of_the_likeliest_tokens(session: Session) -> None:
    session.answer(ASK, GREEDY)
    for one in session.alternatives(4):
        assert one.likeliest[0] == (one.text, one.probability) and len(one.rivals) == 3
        shares = [share for _, share in one.likeliest]
        assert shares == sorted(shares, reverse=True) and sum(shares) <= 1 + 1e-6
    assert all(not one.rivals for one in session.alternatives(1))


def test_the_conversation_goes_on_as_if_nothing_had_been_asked(tiny_gguf: Path) -> None:
    said = []
    for looks in (False, True):
        with Session.open(tiny_gguf, context=512) as session:
            first = session.answer(ASK, GREEDY)
            if looks:
                assert session.alternatives() == session.alternatives()
            more = [*ASK, Message("assistant", first.text), Message("user", "on")]
            second = session.answer(more, GREEDY)
            said.append((first.text, second.text, second.cached_tokens))
    assert said[0] == said[1] and said[0][2] > 0


def test_nothing_to_tell_before_an_answer_or_once_cancelled(session: Session) -> None:
    assert session.alternatives() == []
    session.answer(ASK, GREEDY)
    real = session._decoder.abort
    session._decoder.abort.clear = real.set  # type: ignore[method-assign]
    assert session.alternatives() == []
    del session._decoder.abort.clear
    assert len(session.alternatives()) == 20


def test_a_token_is_shown_on_one_line_and_does_nothing() -> None:
    assert quoted(" a\n\t\x1b") == "' a\\n\\t\\x1b'"
    one = TokenLogprob(" a", 0.621, ((" a", 0.621), ("\n", 0.2)))
    assert str(one) == "  62.1%".removeprefix(" ") + "  ' a'              '\\n' 20.0%"
