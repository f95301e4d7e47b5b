"""What every model is asked, and what comes back. Plain values; no model, no file.

Invariant: a question's seed depends on the run's seed, the prompt's number and the sample's number
alone, so an answer is the same however many others are asked, and in whatever order.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from workbench.core.errors import UserError
from workbench.core.sampling import SamplingParams
from workbench.dataset.rows import Message, Row

Key = tuple[int, int]  # prompt, sample


@dataclass(frozen=True)
class Question:
    """The `sample`-th asking of the `index`-th prompt; of the guard's prompts, if one is named.

    `tools` are the schemas of the tools that the assistant may call.
    """

    index: int
    sample: int
    messages: tuple[Message, ...]
    seed: int
    guard: str = ""
    tools: tuple[dict[str, Any], ...] = field(default=(), hash=False)

    @property
    def key(self) -> Key:
        return (self.index, self.sample)

    @property
    def text(self) -> str:
        """The last thing the user said."""
        said = [message.content for message in self.messages if message.role == "user"]
        return said[-1] if said else ""

    @property
    def earlier(self) -> tuple[tuple[str, str], ...]:
        """Role and text of all that was said before that."""
        users = [at for at, message in enumerate(self.messages) if message.role == "user"]
        before = self.messages[: users[-1]] if users else self.messages
        return tuple((message.role, message.content) for message in before)


@dataclass(frozen=True)
class Reply:
    """A model's answer to a question. `problem` says why there is none; then it is not measured."""

    index: int
    sample: int
    text: str = ""
    stopped: str = ""
    n_tokens: int = 0
    elapsed_s: float = 0.0
    problem: str = ""

    @property
    def key(self) -> Key:
        return (self.index, self.sample)


@dataclass(frozen=True)
class Expected:
    """The conversation of the `index`-th row, the expected answer being its last message."""

    index: int
    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] = field(default=(), hash=False)


@dataclass(frozen=True)
class ExpectedLoss:
    """How unlikely a model finds an expected answer: the loss of all its tokens, in nats.

    `problem` says why that is not known.
    """

    index: int
    n_tokens: int = 0
    nats: float = 0.0
    problem: str = ""


@dataclass(frozen=True)
class GenerationSettings:
    """How all models are asked: sampling, stop texts and context length in tokens."""

    sampling: SamplingParams
    stop: tuple[str, ...] = ()
    context: int = 4096

    def sampling_for(self, question: Question) -> SamplingParams:
        return SamplingParams(**{**self.sampling.as_dict(), "seed": question.seed})


class Answerer(Protocol):
    """A model that can be asked. It opens what it needs on the first question, not before."""

    @property
    def identity(self) -> dict[str, Any]:
        """What its answers depend on, the questions apart: equal identity, equal answers."""
        ...

    def replies(
        self, questions: Sequence[Question], known: Container[Key], should_stop: Callable[[], bool]
    ) -> Iterator[Reply]:
        """A reply to each question not `known`, as they come; fewer when `should_stop` says so."""
        ...

    @property
    def trouble(self) -> UserError | None:
        """Why it could not be opened, once that was tried."""
        ...

    @property
    def weighs(self) -> bool:
        """Whether the model tells how likely it finds a given answer."""
        ...

    def weigh(
        self, expected: Sequence[Expected], known: Container[int], should_stop: Callable[[], bool]
    ) -> Iterator[ExpectedLoss]:
        """Each answer not `known` weighed, as they come; fewer when `should_stop` says so."""
        ...

    def close(self) -> None: ...


def questions_for(rows: Sequence[Row], samples: int, seed: int, guard: str = "") -> list[Question]:
    """`samples` questions a row, row by row."""
    return [
        Question(index, sample, row.prompt_messages(), _seed(seed, index, sample), guard, row.tools)
        for index, row in enumerate(rows)
        for sample in range(samples)
    ]


def choose(rows: Sequence[Row], limit: int, seed: int) -> list[Row]:
    """At most `limit` rows (0: all), drawn by `seed`, in their order."""
    if not limit or limit >= len(rows):
        return list(rows)
    kept = sorted(random.Random(seed).sample(range(len(rows)), limit))
    return [rows[index] for index in kept]


def fingerprint(questions: Sequence[Question], asking: GenerationSettings) -> str:
    """SHA-256 of everything that is asked and how."""
    said = [
        [q.index, q.sample, q.seed, [_told(m) for m in q.messages], *([q.tools] if q.tools else [])]
        for q in questions
    ]
    raw = json.dumps([said, asdict(asking)], ensure_ascii=True, sort_keys=True)
    return hashlib.sha256(raw.encode()).hexdigest()


def _told(message: Message) -> Any:
    """All that a template may show of it; the shorter form is that of files from before."""
    told = message.to_json()
    told.pop("train", None)
    return told if set(told) != {"role", "content"} else [message.role, message.content]


def _seed(seed: int, index: int, sample: int) -> int:
    digest = hashlib.sha256(f"{seed}:{index}:{sample}".encode()).digest()
    return int.from_bytes(digest[:4], "big")
