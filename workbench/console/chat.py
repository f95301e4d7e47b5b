"""`workbench chat` in a plain terminal: one answer for scripts, or a conversation line by line.

A typed line is a message, or a command that begins with a slash. Ctrl+C during an answer ends the
answer and keeps the conversation. A model's text is shown through `visible`: it cannot move the
cursor or color the screen. If standard output is not a terminal, the answer is written unchanged,
for the next program.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from workbench.core.errors import UserError, WorkbenchError
from workbench.core.sampling import SamplingParams
from workbench.core.text import did_you_mean, visible
from workbench.inference.chat_model import ChatModel, ModelSource
from workbench.inference.conversation import (
    FILE_PREFIX,
    ChatSettings,
    Conversation,
    open_session,
    read_prompt,
    swap_model,
)
from workbench.inference.generation import completion_summary
from workbench.inference.transcript import Transcript, save


@contextmanager
def cancel_on_interrupt(session: ChatModel) -> Iterator[None]:
    """Ctrl+C ends the answer being written, between two tokens, instead of raising in mid-call."""

    def cancel(_number: int, _frame: Any) -> None:
        session.cancel()

    try:
        before = signal.signal(signal.SIGINT, cancel)
    except ValueError:  # not the main thread: whoever owns it decides
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


Write = Callable[[str], object]

DEFAULT_ALTERNATIVES, MOST_RIVALS = 3, 50


@dataclass
class ChatState:
    """The state of a chat in a terminal: who is asked, and how."""

    conversations: list[Conversation]
    sampling: SamplingParams
    compare: bool = False

    @property
    def asked(self) -> list[Conversation]:
        return self.conversations if self.compare else self.conversations[:1]


def run_command(desk: ChatState, line: str, write: Write) -> bool:
    """Do what `line` says; True when the chat is over. Raises UserError for what cannot be done."""
    if not line.startswith("/"):
        ask(desk, read_prompt(line), write)
        return False
    name, _, rest = line[1:].partition(" ")
    if name in ("quit", "exit"):
        return True
    if name not in COMMANDS:
        raise UserError(f"unknown command '/{name}'", hint=did_you_mean(name, COMMANDS))
    COMMANDS[name][0](desk, rest.strip(), write)
    return False


def ask(desk: ChatState, text: str, write: Write) -> None:
    """Ask the first model, or all of them one after the other, and write their answers."""
    for conversation in desk.asked:
        if len(desk.asked) > 1:
            write(f"--- {conversation.name}\n")
        with cancel_on_interrupt(conversation.session):
            for piece in conversation.ask(text, desk.sampling):
                write(visible(piece))
        write(f"\n[{completion_summary(conversation.last_answer)}]\n")


def _system(desk: ChatState, text: str, write: Write) -> None:
    text = read_prompt(text)
    for conversation in desk.conversations:
        conversation.system = text
    write("system prompt set\n" if text else "system prompt removed\n")


def _set(desk: ChatState, text: str, write: Write) -> None:
    if text:
        key, _, value = text.replace("=", " ", 1).partition(" ")
        desk.sampling = desk.sampling.with_text(key, value.strip())
    settings = (f"{key} = {value}" for key, value in desk.sampling.as_dict().items())
    write(", ".join(settings) + "\n")


def _compare(desk: ChatState, _text: str, write: Write) -> None:
    if len(desk.conversations) < 2:
        raise UserError("there is no second model", hint="start with --compare base")
    desk.compare = not desk.compare
    names = " and ".join(conversation.name for conversation in desk.asked)
    write(f"now prompting {names}\n")


def _save(desk: ChatState, text: str, write: Write) -> None:
    if not text:
        raise UserError("/save needs a file name", hint="such as /save chat.md or /save chat.json")
    path = Path(text).expanduser()
    for number, conversation in enumerate(desk.asked):
        target = path if number == 0 else path.with_stem(f"{path.stem}-{conversation.name}")
        sampling = desk.sampling.as_dict()
        save(Transcript(conversation.name, conversation.messages, sampling), target)
        write(f"saved to {target}\n")


def _tokens(desk: ChatState, text: str, write: Write) -> None:
    if text and not (text.isdecimal() and 0 < int(text) <= MOST_RIVALS):
        raise UserError(
            f"/tokens {text}: not a valid number", hint=f"use 1 to {MOST_RIVALS} alternatives"
        )
    for conversation in desk.asked:
        if len(desk.asked) > 1:
            write(f"--- {conversation.name}\n")
        with cancel_on_interrupt(conversation.session):
            found = conversation.session.alternatives(int(text or DEFAULT_ALTERNATIVES) + 1)
        write("".join(f"{one}\n" for one in found) or "no response to inspect yet\n")


def _new(desk: ChatState, _text: str, write: Write) -> None:
    for conversation in desk.conversations:
        conversation.restart()
    write("started a new conversation\n")


def _help(_desk: ChatState, _text: str, write: Write) -> None:
    for name, (_action, meaning) in COMMANDS.items():
        write(f"/{name:8} {meaning}\n")
    write("/quit     exit\n")
    write(f"{FILE_PREFIX}path as a message sends the file's contents; Ctrl+C stops a response\n")


COMMANDS: dict[str, tuple[Callable[[ChatState, str, Write], None], str]] = {
    "system": (_system, "TEXT or FILE:PATH: set the system prompt; no argument removes it"),
    "set": (_set, "KEY VALUE: temperature, top_k, top_p, min_p, repeat_penalty, seed, max_tokens"),
    "compare": (_compare, "prompt both models, or only the first again"),
    "tokens": (
        _tokens,
        "N: last response's tokens with probabilities and N alternatives (default 3)",
    ),
    "new": (_new, "start a new conversation"),
    "save": (_save, "FILE.md or FILE.json: save the conversation"),
    "help": (_help, "show this list"),
}


PROMPT, MORE = "> ", ". "
WELCOME = "Type a message. End a line with \\ to continue it. /help lists commands; Ctrl+D exits."


def chat_once(
    models: Mapping[str, ModelSource],
    prompt: str,
    settings: ChatSettings,
    out: TextIO | None = None,
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
    models: Mapping[str, ModelSource],
    settings: ChatSettings,
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
        desk = ChatState(conversations, settings.sampling, compare=len(conversations) > 1)
        write(WELCOME + "\n")
        for text in messages(read, write):
            try:
                for conversation in desk.asked:
                    sources[conversation.name] = refresh_model(
                        conversation, sources[conversation.name], settings, write
                    )
                if run_command(desk, text, write):
                    return
            except UserError as error:
                write(f"{visible(str(error))}\n")


@contextmanager
def opened(
    models: Mapping[str, ModelSource], settings: ChatSettings
) -> Iterator[list[Conversation]]:
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


def refresh_model(
    conversation: Conversation,
    source: ModelSource,
    settings: ChatSettings,
    write: Callable[[str], object],
) -> ModelSource:
    """The source that answers next: a newer one, announced when it is loaded, or the same.

    Weights that cannot be taken up are told of, and the old ones go on.
    """
    try:
        newer = source.newer() if source.newer else None
        if newer is None:
            return source
        swap_model(conversation, newer, settings)
    except WorkbenchError as error:
        write(f"[{visible(str(error))}]\n")
        return source
    write(f"[now using {visible(newer.label)}]\n")
    return newer


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
