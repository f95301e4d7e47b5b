"""One model's side of the chat: opened, asked and stopped, its words kept for the screen.

`open` and `ask` block and belong to the chat's thread; all else may be called from any.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from workbench.errors import WorkbenchError
from workbench.tui.chatting.models import Model, trusted

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.chat.conversation import Conversation
    from workbench.chat.sampling import Sampling
    from workbench.chat.terminal import Settings

State = Literal["opening", "ready", "waiting", "reading", "writing", "failed"]


@dataclass(frozen=True)
class Exchange:
    """A question with its answer so far. `note` tells tokens, speed and why it ended."""

    question: str
    answer: str = ""
    note: str = ""


class Side:
    """`version` rises with everything that is to be seen."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.state: State = "opening"
        self.exchanges: list[Exchange] = []
        self.trouble = ""
        self.version = 0
        self._conversation: Conversation | None = None
        self._cancelled = False

    @property
    def busy(self) -> bool:
        return self.state in ("opening", "waiting", "reading", "writing")

    @property
    def last(self) -> Exchange | None:
        return self.exchanges[-1] if self.exchanges else None

    def open(self, settings: Settings, log: Path) -> None:
        """Load the model, once a child process has shown that this is safe."""
        from workbench.chat.conversation import Conversation
        from workbench.chat.inspect import vouch
        from workbench.chat.session import Session

        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            vouch(self.model.path, trusted=trusted([self.model]))
            session = Session.open(
                self.model.path, context=settings.context, threads=settings.threads, log_file=log
            )
        except (WorkbenchError, OSError) as error:
            self.trouble = str(error)
            self._become("failed")
            return
        self._conversation = Conversation(self.model.name, session, settings.stop)
        self._become("ready")

    def expect(self, question: str) -> None:
        """The question will be asked: show it already."""
        self._cancelled = False
        if self._conversation:
            self.trouble = ""
        self.exchanges.append(Exchange(question))
        self._become("waiting")

    def ask(self, system: str, sampling: Sampling) -> None:
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
        from workbench.chat.commands import summary

        answer = talk.last_answer
        self.exchanges[-1] = replace(self.exchanges[-1], answer=answer.text, note=summary(answer))
        self._become("ready")

    def _forget_question(self) -> None:
        self.exchanges.pop()
        self._become("ready" if self._conversation else "failed")

    def _become(self, state: State) -> None:
        self.state = state
        self.version += 1
