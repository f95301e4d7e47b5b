"""A GGUF as a model to be asked, several questions side by side.

Groups are formed from all questions in their order, and a group with an unanswered question is
asked as a whole: so the answers after an interruption are those of an uninterrupted run, whatever
rounding does with the order of sums.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from workbench.core import files
from workbench.core.errors import UserError
from workbench.inference.decoder import Decoder
from workbench.inference.generation import PromptJob, batch_size, generate_batch
from workbench.inference.gguf_check import verify_loadable
from workbench.inference.llama_library import LOG
from workbench.inference.llama_model import LlamaModel
from workbench.inference.logprobs import PromptAndAnswer, answer_loss, prompt_and_answer_ids
from workbench.inference.prompt_tokens import model_chat_template, prompt_ids
from workbench.inference.session import usable_context
from workbench.pipeline.evaluation.questions import (
    Expected,
    ExpectedLoss,
    GenerationSettings,
    Key,
    Question,
    Reply,
)
from workbench.tokenization.chat_template import ChatTemplate

Thing = TypeVar("Thing")


class GgufAnswerer:
    """Answers by llama.cpp in this process. The file is opened by the first question.

    A `stranger`, which no run of ours made, is first opened by a child process. A file that cannot
    be opened, or has no chat template, gives every question a problem in place of an answer.
    """

    def __init__(
        self,
        path: Path,
        asking: GenerationSettings,
        *,
        threads: int | None = None,
        log_file: Path | None = None,
        stranger: bool = False,
    ) -> None:
        self.path, self._asking, self._threads = path, asking, threads
        self._log_file, self._stranger = log_file, stranger
        self._model: LlamaModel | None = None
        self.trouble: UserError | None = None
        if not path.is_file():
            raise UserError("GGUF file not found", path=path)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The file's SHA-256 and the engine's version."""
        engine = f"llama-cpp-python {version('llama-cpp-python')}"
        return {"gguf": files.sha256(self.path), "engine": engine}

    def replies(
        self, questions: Sequence[Question], known: Container[Key], should_stop: Callable[[], bool]
    ) -> Iterator[Reply]:
        """Replies group by group. A prompt too long for the context is a reply with a problem."""
        try:
            model, template = self._open()
        except UserError as error:
            self.trouble = error
            yield from (
                Reply(*question.key, problem=error.message)
                for question in questions
                if question.key not in known
            )
            return
        limit = usable_context(model, self._asking.context)
        prompts = [prompt_ids(model, template, one.messages, one.tools) for one in questions]
        fitting = []
        for question, ids in zip(questions, prompts, strict=True):
            if len(ids) < limit:
                fitting.append((question, ids))
            else:
                yield _too_long(question, len(ids), limit)
        needs = [min(limit, len(ids) + self._asking.sampling.max_tokens) for _, ids in fitting]
        for number, part in enumerate(_by_factors(model, fitting, needs)):
            if number and should_stop():
                return
            yield from self._ask(model, part, limit, known, should_stop)

    def _ask(
        self,
        model: LlamaModel,
        fitting: Sequence[tuple[Question, list[int]]],
        limit: int,
        known: Container[Key],
        should_stop: Callable[[], bool],
    ) -> Iterator[Reply]:
        longest = max(len(ids) for _, ids in fitting)
        context = min(limit, longest + self._asking.sampling.max_tokens)
        size = min(batch_size(model.cache_bytes_per_token, context), len(fitting))
        decoder = Decoder(model, context=context, sequences=size, threads=self._threads)
        try:
            for start in range(0, len(fitting), size):
                group = fitting[start : start + size]
                if all(question.key in known for question, _ in group):
                    continue
                jobs = [self._job(question, ids) for question, ids in group]
                for at, answer in generate_batch(decoder, jobs, should_stop):
                    question = group[at][0]
                    if question.key not in known:
                        yield Reply(
                            *question.key,
                            text=answer.text,
                            stopped=answer.stopped,
                            n_tokens=answer.n_tokens,
                            elapsed_s=round(answer.elapsed_s, 4),
                        )
                if should_stop():
                    return
        finally:
            decoder.close()

    @property
    def weighs(self) -> bool:
        return True

    def weigh(
        self, expected: Sequence[Expected], known: Container[int], should_stop: Callable[[], bool]
    ) -> Iterator[ExpectedLoss]:
        """One answer after the other; one too long for the context comes with a problem."""
        try:
            model, template = self._open()
        except UserError as error:
            yield from (ExpectedLoss(one.index, problem=error.message) for one in expected)
            return
        limit = usable_context(model, self._asking.context)
        fitting: list[tuple[int, PromptAndAnswer]] = []
        for one in expected:
            if one.index in known:
                continue
            try:
                given = prompt_and_answer_ids(model, template, one.messages, one.tools)
            except UserError as error:
                yield ExpectedLoss(one.index, problem=error.message)
                continue
            if given.n_tokens <= limit:
                fitting.append((one.index, given))
            else:
                yield ExpectedLoss(one.index, problem=_beyond("the row", given.n_tokens, limit))
        needs = [given.n_tokens for _, given in fitting]
        for part in _by_factors(model, fitting, needs):
            yield from self._weigh(model, part, should_stop)

    def _weigh(
        self,
        model: LlamaModel,
        fitting: Sequence[tuple[int, PromptAndAnswer]],
        should_stop: Callable[[], bool],
    ) -> Iterator[ExpectedLoss]:
        longest = max(given.n_tokens for _, given in fitting)
        decoder = Decoder(model, context=longest, threads=self._threads)
        try:
            for index, given in fitting:
                if should_stop():
                    return
                nats = round(answer_loss(decoder, given), 6)
                yield ExpectedLoss(index, len(given.answer), nats)
        finally:
            decoder.close()

    def _job(self, question: Question, ids: list[int]) -> PromptJob:
        return PromptJob(ids, self._asking.sampling_for(question), self._asking.stop)

    def _open(self) -> tuple[LlamaModel, ChatTemplate]:
        if self._model is None:
            if self._log_file is not None:
                LOG.to_file(self._log_file)
            if self._stranger:
                verify_loadable(self.path)
            self._model = LlamaModel(self.path)
        return self._model, model_chat_template(self._model)

    def close(self) -> None:
        if self._model is not None:
            self._model.close()
            self._model = None


def _by_factors(
    model: LlamaModel, things: Sequence[Thing], needs: Sequence[int]
) -> list[list[Thing]]:
    """The things, each of which needs a context of so many tokens, in one or two groups.

    A context has one set of rotary factors for all: a short text is not read by longrope's long
    ones because another text is long.
    """
    parts: dict[bool, list[Thing]] = {}
    for thing, need in zip(things, needs, strict=True):
        parts.setdefault(model.takes_long_factors(need), []).append(thing)
    return list(parts.values())


def _too_long(question: Question, n_tokens: int, limit: int) -> Reply:
    return Reply(*question.key, problem=_beyond("the prompt", n_tokens, limit))


def _beyond(what: str, n_tokens: int, limit: int) -> str:
    return f"{what} has {n_tokens:,} tokens, but the context size is {limit:,}"
