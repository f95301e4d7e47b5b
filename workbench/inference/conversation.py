"""A conversation: its messages, its model, its settings, the next answer. No screen, no keyboard.

The settings come from a preset's `[generate]` and system prompt. Invariant: a prompt stays in the
history only together with its answer.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from workbench.core.errors import UserError
from workbench.core.sampling import SamplingParams
from workbench.dataset.rows import Message
from workbench.inference.chat_model import ChatModel, GgufSource, ModelSource
from workbench.inference.generation import Completion
from workbench.inference.reasoning import shown
from workbench.inference.session import Session
from workbench.preset.schema import Generate, Preset
from workbench.tokenization.chat_template import ChatTemplate

FILE_PREFIX = "FILE:"


class Conversation:
    """One model's side of a chat."""

    def __init__(
        self, name: str, session: ChatModel, stop: Sequence[str] = (), system: str = ""
    ) -> None:
        self.name, self.session, self.stop, self.system = name, session, tuple(stop), system
        self.turns: list[Message] = []

    @property
    def messages(self) -> tuple[Message, ...]:
        """Everything said, the system message first where there is one."""
        head = (Message("system", self.system),) if self.system else ()
        return (*head, *self.turns)

    def ask(self, text: str, sampling: SamplingParams) -> Iterator[str]:
        """Yield the answer piece by piece, and remember question and answer once it has ended.

        An empty reasoning block is remembered, not yielded.
        """
        question = Message("user", text)
        stream = self.session.stream((*self.messages, question), sampling, self.stop)
        try:
            yield from shown(stream)
        finally:
            if isinstance(stream, Generator):
                stream.close()  # an answer that is given up must not keep the session busy
        self.turns += [question, Message("assistant", self.last_answer.text)]

    @property
    def last_answer(self) -> Completion:
        assert self.session.last_answer is not None, "no prompt has been sent yet"
        return self.session.last_answer

    def restart(self) -> None:
        """Forget what was said; the system message stays."""
        self.turns = []


def read_prompt(text: str) -> str:
    """`text`, or for `FILE:path` what the file holds. Raises UserError when it cannot be read."""
    if not text.startswith(FILE_PREFIX):
        return text
    path = Path(text.removeprefix(FILE_PREFIX)).expanduser()
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", path=path) from error
    except UnicodeDecodeError as error:
        raise UserError(f"byte {error.start} is not UTF-8", path=path) from error


def sampling_params(generate: Generate) -> SamplingParams:
    """The sampling numbers of `[generate]`."""
    return SamplingParams(
        **{field.name: getattr(generate, field.name) for field in fields(SamplingParams)}
    )


def generation_settings(preset: Preset | None) -> ChatSettings:
    """How the preset generates and what system prompt it trained with; defaults without one."""
    generate = preset.generate if preset else Generate()
    return ChatSettings(
        sampling=sampling_params(generate),
        stop=generate.stop,
        context=generate.context,
        system=preset.data.system if preset else "",
    )


@dataclass(frozen=True)
class ChatSettings:
    """How to open and ask the models of a chat."""

    sampling: SamplingParams = field(default_factory=SamplingParams)
    stop: Sequence[str] = ()
    context: int = 4096
    system: str = ""
    threads: int | None = None
    log_file: Path | None = None
    template: ChatTemplate | None = None
    trusted: Collection[str] = ()


def open_session(source: ModelSource, settings: ChatSettings) -> ChatModel:
    """The model of `source` as the settings have it."""
    return source.open(
        context=settings.context,
        threads=settings.threads,
        log_file=settings.log_file,
        template=settings.template,
        trusted=settings.trusted,
    )


def swap_model(conversation: Conversation, newer: GgufSource, settings: ChatSettings) -> None:
    """Let the conversation go on with other weights: an adapter exchanged, or a model loaded."""
    now = conversation.session
    if isinstance(now, Session) and newer.gguf == now.model.path:
        now.adapt(newer.adapter)
        return
    session = open_session(newer, settings)
    now.close()
    conversation.session = session
