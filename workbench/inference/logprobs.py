"""Log-probabilities: the loss of a given answer, and the alternatives to each token of an answer.

A given answer is what the template writes after the prompt, up to and including the token that
ends the turn: the tokens that training learns. Logits are llama.cpp's, in float32; losses are
summed in float64, in nats.

Alternatives have the model's own probabilities (temperature 1, nothing filtered), whatever settings
the answer was sampled with. The answer is evaluated again for them, so that generation itself costs
nothing extra.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.core.errors import UserError
from workbench.core.text import visible
from workbench.dataset.rows import Message
from workbench.inference.decoder import BATCH_TOKENS, Decoder, SequenceTokens
from workbench.inference.llama_model import LlamaModel
from workbench.inference.prompt_tokens import Tools, common_prefix, conversation_ids, prompt_ids
from workbench.tokenization.chat_template import ChatTemplate

LOGIT_BYTES = 64 << 20  # that llama.cpp keeps of one call
ONLY = 0  # the one sequence that is used


@dataclass(frozen=True)
class PromptAndAnswer:
    """A conversation as token ids, cut where the answer begins; neither part is empty."""

    prompt: list[int]
    answer: list[int]

    @property
    def n_tokens(self) -> int:
        return len(self.prompt) + len(self.answer)

    @property
    def read(self) -> list[int]:
        """What the model reads: all but the last token, which is predicted only."""
        return [*self.prompt, *self.answer[:-1]]


def prompt_and_answer_ids(
    model: LlamaModel, template: ChatTemplate, messages: Sequence[Message], tools: Tools = ()
) -> PromptAndAnswer:
    """The last message as the answer to those before it.

    Raises UserError where the template does not write it behind the prompt, or leaves nothing.
    """
    asked = template.render(messages[:-1], True, tools)
    if not template.render(messages, False, tools).startswith(asked):
        raise UserError("the chat template does not continue its own generation prompt")
    prompt = prompt_ids(model, template, messages[:-1], tools)
    whole = conversation_ids(model, template, messages, tools, asking=False)
    start = common_prefix(prompt, whole)  # less than the prompt where a token spans the seam
    answer = _to_its_end(model, whole[start:])
    if not start or not answer:
        raise UserError("the chat template leaves the prompt or the response empty")
    return PromptAndAnswer(whole[:start], answer)


def answer_loss(decoder: Decoder, given: PromptAndAnswer) -> float:
    """Loss of the whole answer in nats; what the decoder held of other conversations is forgotten.

    The conversation must fit the context, its last token apart.
    """
    decoder.clear()
    rows = zip(answer_logits(decoder, given), given.answer, strict=True)
    return math.fsum(
        math.log(softmax_denominator(logits)) - shifted_logit(logits, token)
        for logits, token in rows
    )


def answer_logits(
    decoder: Decoder, given: PromptAndAnswer, *, start: int = 0, abortable: bool = False
) -> Iterator[Any]:
    """The logits, (n_vocab,) in float32, that each token of the answer is drawn from.

    The decoder's first sequence holds the first `start` tokens, less than the prompt has; a row
    holds until the next one is asked for. Raises Aborted as `Decoder.feed` does.
    """
    import numpy as np

    read, first = given.read, len(given.prompt) - 1  # what stands there predicts the answer's first
    shape = (decoder.model.n_vocab,)
    for begin, end in _calls(start, len(read), first, _rows_at_once(decoder.model)):
        wanted = max(0, end - max(begin, first))
        rows = decoder.feed([SequenceTokens(ONLY, read[begin:end], wanted)], abortable=abortable)
        for back in range(wanted - 1, -1, -1):
            pointer = decoder.c.llama_get_logits_ith(decoder.pointer, rows[ONLY] - back)
            yield np.ctypeslib.as_array(pointer, shape)


def softmax_denominator(logits: Any) -> float:
    """Sum of the exponentials of all logits less the highest: what probabilities are shares of."""
    import numpy as np

    return float(np.exp(logits - logits.max()).sum(dtype=np.float64))


def shifted_logit(logits: Any, token: int) -> float:
    """The token's logit less the highest one: at most 0."""
    return float(logits[token]) - float(logits.max())


def _calls(start: int, n: int, first: int, at_once: int) -> Iterator[tuple[int, int]]:
    """Begin and end of every call: so many tokens, and so many of them from `first` on, at most."""
    while start < n:
        end = min(n, start + BATCH_TOKENS, max(start, first) + at_once)
        yield start, end
        start = end


def _rows_at_once(model: LlamaModel) -> int:
    return max(1, LOGIT_BYTES // (4 * model.n_vocab))


def _to_its_end(model: LlamaModel, ids: Sequence[int]) -> list[int]:
    """Up to and including the first token that ends a turn; all of it where none does."""
    for at, token in enumerate(ids):
        if model.ends(token):
            return list(ids[: at + 1])
    return list(ids)


TokenProbability = tuple[str, float]  # a token's text, and its probability


@dataclass(frozen=True)
class TokenLogprob:
    """A token of an answer: its text, how probable it was, the likeliest in its place first.

    The text of a token that is no whole character has a U+FFFD.
    """

    text: str
    probability: float
    likeliest: tuple[TokenProbability, ...]

    @property
    def rivals(self) -> list[TokenProbability]:
        """The likeliest without the token itself."""
        return [one for one in self.likeliest if one != (self.text, self.probability)]

    def __str__(self) -> str:
        """` 62.1%  ' river'   ' lake' 30.4%  ' sea' 4.0%`: safe to show, on one line."""
        rivals = "  ".join(f"{quoted(text)} {share:.1%}" for text, share in self.rivals)
        return f"{self.probability:6.1%}  {quoted(self.text):16}  {rivals}".rstrip()


def quoted(text: str) -> str:
    """The text visible on one line, its spaces and line breaks to be seen."""
    return "'" + visible(text).replace("\n", "\\n").replace("\t", "\\t") + "'"


def token_logprobs(
    decoder: Decoder, given: PromptAndAnswer, top: int, *, start: int = 0
) -> Iterator[TokenLogprob]:
    """Each token of the answer; `start` as of `answer_logits`. Raises Aborted."""
    model = decoder.model

    def text(token: int) -> str:
        return model.piece(token).decode(errors="replace")

    rows = answer_logits(decoder, given, start=start, abortable=True)
    for logits, token in zip(rows, given.answer, strict=True):
        whole = softmax_denominator(logits)
        likeliest = [
            (text(one), math.exp(shifted_logit(logits, one)) / whole)
            for one in _highest(logits, top)
        ]
        yield TokenLogprob(
            text(token), math.exp(shifted_logit(logits, token)) / whole, tuple(likeliest)
        )


def _highest(logits: Any, count: int) -> list[int]:
    """The tokens with the highest logits, the highest first."""
    import numpy as np

    count = min(count, len(logits))
    found = np.argpartition(logits, -count)[-count:] if count else np.array([], int)
    return [int(token) for token in found[np.argsort(-logits[found], kind="stable")]]
