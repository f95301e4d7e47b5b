"""`workbench chat` in a plain terminal: one answer for scripts, or a line at a time for people.

What a model writes is shown through `visible`: it cannot move the cursor or colour the screen.
Where standard output is no terminal the answer is written as it is, for the next program.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from workbench.console.chat__chat_commands import Desk, run_command
from workbench.inference.conversation import Conversation, read_prompt
from workbench.core.sampling import Sampling
from workbench.inference.session import Session
from workbench.inference.chat_model__chat_source import Source
from workbench.inference.chat_model import Opens, Talker
from workbench.tokenization.chat_template import ChatTemplate
from workbench.core.errors import UserError, WorkbenchError
from workbench.core.text import visible

PROMPT, MORE = "> ", ". "
WELCOME = "Type a message. End a line with \\ to continue it. /help lists commands; Ctrl+D exits."


@dataclass(frozen=True)
class Settings:
    """How to open and ask the models of a chat."""

    sampling: Sampling = field(default_factory=Sampling)
    stop: Sequence[str] = ()
    context: int = 4096
    system: str = ""
    threads: int | None = None
    log_file: Path | None = None
    template: ChatTemplate | None = None
    trusted: Collection[str] = ()


def chat_once(
    models: Mapping[str, Opens], prompt: str, settings: Settings, out: TextIO | None = None
) -> None:
    """Write the answer to `prompt` (TEXT or FILE:path), and nothing else, to `out`.

    With several models each answer follows a line with the model's name. Raises UserError.
    """
    out = out or sys.stdout
    show = visible if out.isatty() else str
    question = read_prompt(prompt)
    with opened(models, settings) as conversations:
        for conversation in conversations:
            if len(conversations) > 1:
                out.write(f"# {conversation.name}\n")
            for piece in conversation.ask(question, settings.sampling):
                out.write(show(piece))
                out.flush()
            out.write("\n")


def chat(
    models: Mapping[str, Opens],
    settings: Settings,
    *,
    read: Callable[[str], str] = input,
    out: TextIO | None = None,
    history: Path | None = None,
) -> None:
    """Talk until `/quit` or the end of input. The first of `models` answers; with `/compare`, all.

    `history` keeps typed lines between sessions. Raises UserError when a model cannot be opened.
    """
    screen = out or sys.stdout

    def write(text: str) -> None:
        screen.write(text)
        screen.flush()  # an answer shows while it is written

    with opened(models, settings) as conversations, line_editing(history):
        sources = dict(models)
        desk = Desk(conversations, settings.sampling, compare=len(conversations) > 1)
        write(WELCOME + "\n")
        for text in messages(read, write):
            try:
                for conversation in desk.asked:
                    sources[conversation.name] = renewed(
                        conversation, sources[conversation.name], settings, write
                    )
                if run_command(desk, text, write):
                    return
            except UserError as error:
                write(f"{visible(str(error))}\n")


@contextmanager
def opened(models: Mapping[str, Opens], settings: Settings) -> Iterator[list[Conversation]]:
    """The models, loaded one after the other; all are freed at the end."""
    conversations = list[Conversation]()
    try:
        for name, source in models.items():
            session = open_session(source, settings)
            conversations.append(Conversation(name, session, settings.stop, settings.system))
        yield conversations
    finally:
        for conversation in conversations:
            conversation.session.close()


def open_session(source: Opens, settings: Settings) -> Talker:
    """The model of `source` as the settings have it."""
    return source.open(
        context=settings.context,
        threads=settings.threads,
        log_file=settings.log_file,
        template=settings.template,
        trusted=settings.trusted,
    )


def renewed(
    conversation: Conversation, source: Opens, settings: Settings, write: Callable[[str], object]
) -> Opens:
    """The source that answers next: a newer one, taken up and told of, or the same.

    Weights that cannot be taken up are told of, and the old ones go on.
    """
    try:
        newer = source.newer() if source.newer else None
        if newer is None:
            return source
        take_up(conversation, newer, settings)
    except WorkbenchError as error:
        write(f"[{visible(str(error))}]\n")
        return source
    write(f"[now using {visible(newer.label)}]\n")
    return newer


def take_up(conversation: Conversation, newer: Source, settings: Settings) -> None:
    """Let the conversation go on with other weights: an adapter exchanged, or a model loaded."""
    now = conversation.session
    if isinstance(now, Session) and newer.gguf == now.model.path:
        now.adapt(newer.adapter)
        return
    session = open_session(newer, settings)
    now.close()
    conversation.session = session


def messages(read: Callable[[str], str], write: Callable[[str], object]) -> Iterator[str]:
    """What a person types, message by message; lines that end in a backslash are joined."""
    lines: list[str] = []
    while True:
        try:
            line = read(MORE if lines else PROMPT)
        except EOFError:
            write("\n")
            return
        except KeyboardInterrupt:  # gives up the line, not the conversation
            write("\n")
            lines = []
            continue
        if line.endswith("\\"):
            lines.append(line[:-1])
            continue
        text = "\n".join([*lines, line])
        lines = []
        if text.strip():
            yield text


@contextmanager
def line_editing(history: Path | None) -> Iterator[None]:
    """Arrow keys and history for `input`, where this Python has readline."""
    try:
        import readline
    except ImportError:
        yield
        return
    if history is not None:
        with suppress(OSError):  # none yet, or it cannot be read: the talk matters more
            readline.read_history_file(history)
    try:
        yield
    finally:
        if history is not None:
            readline.set_history_length(1000)
            with suppress(OSError):
                history.parent.mkdir(parents=True, exist_ok=True)
                readline.write_history_file(history)
                history.chmod(0o600)
