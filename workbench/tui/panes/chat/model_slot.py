"""One model's side of the chat: opened, asked and stopped, its words kept for the screen.

`open` and `ask` block and belong to the chat's thread; all else may be called from any.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from workbench.core.errors import WorkbenchError
from workbench.inference.reasoning import without_empty_reasoning
from workbench.tui.panes.chat.model_list import Model, trusted, weights_of

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.core.sampling import SamplingParams
    from workbench.inference.chat_model import GgufSource
    from workbench.inference.conversation import ChatSettings, Conversation
    from workbench.inference.logprobs import TokenLogprob
    from workbench.runner.checkpoint_model import LatestCheckpoint

State = Literal["opening", "ready", "waiting", "reading", "writing", "failed"]


@dataclass(frozen=True)
class Exchange:
    """A question with its answer so far. `note` tells tokens, speed and why it ended."""

    question: str
    answer: str = ""
    note: str = ""


class ModelSlot:
    """`version` rises with everything that is to be seen. `label`: which weights answer, where a
    run has many; `doing`: what opening them takes."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.state: State = "opening"
        self.exchanges: list[Exchange] = []
        self.trouble = ""
        self.label = self.doing = ""
        self.version = 0
        self._conversation: Conversation | None = None
        self._settings: ChatSettings | None = None
        self._following: LatestCheckpoint | None = None
        self._cancelled = False

    @property
    def busy(self) -> bool:
        return self.state in ("opening", "waiting", "reading", "writing")

    @property
    def name(self) -> str:
        """The model's name, with the weights that answer where a run has many."""
        return f"{self.model.name} ({self.label})" if self.label else self.model.name

    @property
    def follows(self) -> bool:
        """Whether it takes up newer weights."""
        return self._following is not None

    @property
    def last(self) -> Exchange | None:
        return self.exchanges[-1] if self.exchanges else None

    def open(self, settings: ChatSettings, log: Path) -> None:
        """Load the model, once a child process has shown that this is safe."""
        from workbench.inference.conversation import Conversation, open_session

        self._settings = replace(settings, log_file=log, trusted=trusted([self.model]))
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            source = self._source()
            session = open_session(source, self._settings)
        except (WorkbenchError, OSError) as error:
            self.trouble = str(error)
            self._become("failed")
            return
        self.label, self.doing = source.label, ""
        self._conversation = Conversation(self.model.name, session, settings.stop)
        self._become("ready")

    def _source(self) -> GgufSource:
        """The files to open; saved weights are made ready first, by a child process."""
        from workbench.inference.chat_model import GgufSource
        from workbench.runner.checkpoint_model import (
            DEFAULT_TYPE,
            LatestCheckpoint,
            export_checkpoint,
        )

        run = self.model.run
        if run is None or not (self.model.checkpoint or self.model.follows):
            return GgufSource(self.model.path)
        begun = weights_of(self.model)
        ready = export_checkpoint(run, begun, doing=self._do, stopping=lambda: self._cancelled)
        if self.model.follows:
            self._following = LatestCheckpoint(run, DEFAULT_TYPE, ready)
        return GgufSource(ready.base, ready.adapter, ready.checkpoint.label, ready.sha256)

    def follow(self) -> bool:
        """Take up newer weights, where there are any; whether there were.

        Belongs to the chat's thread, between two answers.
        """
        from workbench.inference.chat_model import GgufSource
        from workbench.inference.conversation import swap_model

        talk, following = self._conversation, self._following
        if talk is None or following is None or self._settings is None:
            return False
        try:
            newer = following.newer()
            if newer is None:
                return False
            label = newer.checkpoint.label
            swap_model(
                talk, GgufSource(newer.base, newer.adapter, label, newer.sha256), self._settings
            )
        except WorkbenchError as error:
            self.trouble = str(error)
            self.version += 1
            return False
        self.label, self.trouble = label, ""
        self.version += 1
        return True

    def stay(self) -> None:
        """Take up no newer weights from now on."""
        self._following = None
        self.version += 1

    def expect(self, question: str) -> None:
        """The question will be asked: show it already."""
        self._cancelled = False
        if self._conversation:
            self.trouble = ""
        self.exchanges.append(Exchange(question))
        self._become("waiting")

    def ask(self, system: str, sampling: SamplingParams) -> None:
        """Ask the question that was announced; what is not answered is forgotten."""
        talk, asked = self._conversation, self.exchanges[-1]
        if talk is None or self._cancelled:
            self._forget_question()
            return
        talk.system = system
        self._become("reading")
        try:
            for piece in talk.ask(asked.question, sampling):
                self._say(piece)
        except Exception as error:
            self.trouble = str(error) if isinstance(error, WorkbenchError) else repr(error)
            self._forget_question()
            if not isinstance(error, WorkbenchError):
                raise
        else:
            self._end(talk)

    @property
    def last_is_newest(self) -> bool:
        """Whether the last answer to be seen is the one that the model wrote last."""
        written = self._conversation.session.last_answer if self._conversation else None
        return bool(
            written and self.last and self.last.answer == without_empty_reasoning(written.text)
        )

    def tokens(self) -> list[TokenLogprob]:
        """The tokens of the answer that was written last; none when that was cancelled.

        Belongs to the chat's thread.
        """
        if self._conversation is None:
            return []
        self._cancelled = False
        self._become("reading")
        try:
            return self._conversation.session.alternatives()
        finally:
            self._become("ready")

    def cancel(self) -> None:
        """End the answer within a token, or the waiting for one."""
        self._cancelled = True
        self.insist()

    def insist(self) -> None:
        """Say it again: the first word may have come before the model began to read."""
        if self._cancelled and self._conversation and self.state in ("reading", "writing"):
            self._conversation.session.cancel()

    def take_back(self) -> str:
        """Forget the last question and its answer; the question."""
        taken = self.exchanges.pop()
        if self._conversation:
            del self._conversation.turns[-2:]
        self.version += 1
        return taken.question

    def restart(self) -> None:
        """Forget all that was said."""
        self.exchanges.clear()
        if self._conversation:
            self._conversation.restart()
        self._become(self.state)

    def close(self) -> None:
        """Free the model. Belongs to the chat's thread."""
        if self._conversation:
            self._conversation.session.close()
            self._conversation = None

    @property
    def context(self) -> int:
        """Tokens that the conversation may have; 0 before the model is open."""
        return self._conversation.session.context if self._conversation else 0

    def _say(self, piece: str) -> None:
        self.insist()
        said = self.exchanges[-1]
        self.exchanges[-1] = replace(said, answer=said.answer + piece)
        self._become("writing")

    def _end(self, talk: Conversation) -> None:
        from workbench.inference.generation import completion_summary

        answer = talk.last_answer
        note = (
            f"{self.label}: {completion_summary(answer)}"
            if self.label
            else completion_summary(answer)
        )
        said = without_empty_reasoning(answer.text)
        self.exchanges[-1] = replace(self.exchanges[-1], answer=said, note=note)
        self._become("ready")

    def _forget_question(self) -> None:
        self.exchanges.pop()
        self._become("ready" if self._conversation else "failed")

    def _do(self, words: str) -> None:
        self.doing = words
        self.version += 1

    def _become(self, state: State) -> None:
        self.state = state
        self.version += 1
