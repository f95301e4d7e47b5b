"""How likely a model finds an answer that it is given: the loss of the answer's tokens alone.

The prompt is what the model would be asked with; the answer is what its template writes behind
that, up to and including the token that ends the turn: the tokens that training learns. Logits are
llama.cpp's, in float32; losses are summed in float64, in nats.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.chat.decoder import BATCH_TOKENS, Decoder, Feed
from workbench.chat.native_model import NativeModel
from workbench.chat.prompt import conversation_ids, prompt_ids
from workbench.chat.session import common_prefix
from workbench.dataset.rows import Message
from workbench.dataset.template import ChatTemplate
from workbench.errors import UserError

LOGIT_BYTES = 64 << 20  # that llama.cpp keeps of one call
ONLY = 0  # the one sequence that is used


@dataclass(frozen=True)
class Given:
    """A conversation as token ids, cut where the answer begins; neither part is empty."""

    prompt: list[int]
    answer: list[int]

    @property
    def n_tokens(self) -> int:
        return len(self.prompt) + len(self.answer)


def given_ids(model: NativeModel, template: ChatTemplate, messages: Sequence[Message]) -> Given:
    """The last message as the answer to those before it.

    Raises UserError where the template does not write it behind the prompt, or leaves nothing.
    """
    asked = template.render(messages[:-1], add_generation_prompt=True)
    if not template.render(messages).startswith(asked):
        raise UserError("the template does not go on from its generation prompt")
    prompt = prompt_ids(model, template, messages[:-1])
    whole = conversation_ids(model, template, messages, asking=False)
    start = common_prefix(prompt, whole)  # less than the prompt where a token spans the seam
    answer = _to_its_end(model, whole[start:])
    if not start or not answer:
        raise UserError("the template leaves nothing of the prompt or of the answer")
    return Given(whole[:start], answer)


def answer_loss(decoder: Decoder, given: Given) -> float:
    """Loss of the whole answer in nats; the decoder's first sequence is used, and left as it is.

    The conversation must fit the context, its last token apart, which is predicted but not read.
    """
    decoder.clear()
    read = [*given.prompt, *given.answer[:-1]]
    first = len(given.prompt) - 1  # what stands here predicts the answer's first token
    losses: list[float] = []
    for start, end in _calls(len(read), first, _rows_at_once(decoder.model)):
        wanted = max(0, end - max(start, first))
        last = decoder.feed([Feed(ONLY, read[start:end], wanted)]).get(ONLY, 0)
        for row in range(last - wanted + 1, last + 1) if wanted else ():
            losses.append(_loss(decoder, row, given.answer[len(losses)]))
    return math.fsum(losses)


def _calls(n: int, first: int, at_once: int) -> Iterator[tuple[int, int]]:
    """Start and end of every call: so many tokens, and so many of them from `first` on, at most."""
    start = 0
    while start < n:
        end = min(n, start + BATCH_TOKENS, max(start, first) + at_once)
        yield start, end
        start = end


def _rows_at_once(model: NativeModel) -> int:
    return max(1, LOGIT_BYTES // (4 * model.n_vocab))


def _loss(decoder: Decoder, row: int, token: int) -> float:
    """Minus the logarithm of the softmax of the row's logits at `token`."""
    logits: Any = np.ctypeslib.as_array(
        decoder.c.llama_get_logits_ith(decoder.pointer, row), (decoder.model.n_vocab,)
    )
    highest = logits.max()
    return float(highest - logits[token]) + math.log(np.exp(logits - highest).sum(dtype=np.float64))


def _to_its_end(model: NativeModel, ids: Sequence[int]) -> list[int]:
    """Up to and including the first token that ends a turn; all of it where none does."""
    for at, token in enumerate(ids):
        if model.ends(token):
            return list(ids[: at + 1])
    return list(ids)
