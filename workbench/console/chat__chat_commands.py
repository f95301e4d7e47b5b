"""What a line typed into the chat does: a message, or a command that begins with a slash."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workbench.inference.conversation import FILE_PREFIX, Conversation, read_prompt
from workbench.console.chat__chat_interrupt import interrupt_cancels
from workbench.core.sampling import Sampling
from workbench.inference.transcript import Transcript, save
from workbench.inference.generation import Answer
from workbench.core.errors import UserError
from workbench.core.text import did_you_mean, quantity, visible

Write = Callable[[str], object]

RIVALS, MOST_RIVALS = 3, 50
ENDINGS = {"stop": "stopped on its own", "length": "token limit reached", "cancelled": "cancelled"}


@dataclass
class Desk:
    """The state of a chat in a terminal: who is asked, and how."""

    conversations: list[Conversation]
    sampling: Sampling
    compare: bool = False

    @property
    def asked(self) -> list[Conversation]:
        return self.conversations if self.compare else self.conversations[:1]


def run_command(desk: Desk, line: str, write: Write) -> bool:
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


def ask(desk: Desk, text: str, write: Write) -> None:
    """Ask the first model, or all of them one after the other, and write their answers."""
    for conversation in desk.asked:
        if len(desk.asked) > 1:
            write(f"--- {conversation.name}\n")
        with interrupt_cancels(conversation.session):
            for piece in conversation.ask(text, desk.sampling):
                write(visible(piece))
        write(f"\n[{summary(conversation.last_answer)}]\n")


def summary(answer: Answer) -> str:
    """`57 tokens, 310 tokens/s, stopped by itself`."""
    ending = "context full" if answer.context_full else ENDINGS[answer.stopped]
    return (
        f"{quantity(answer.n_tokens, 'token')}, {answer.tokens_per_second:,.0f} tokens/s, {ending}"
    )


def _system(desk: Desk, text: str, write: Write) -> None:
    text = read_prompt(text)
    for conversation in desk.conversations:
        conversation.system = text
    write("system prompt set\n" if text else "system prompt removed\n")


def _set(desk: Desk, text: str, write: Write) -> None:
    if text:
        key, _, value = text.replace("=", " ", 1).partition(" ")
        desk.sampling = desk.sampling.with_text(key, value.strip())
    settings = (f"{key} = {value}" for key, value in desk.sampling.as_dict().items())
    write(", ".join(settings) + "\n")


def _compare(desk: Desk, _text: str, write: Write) -> None:
    if len(desk.conversations) < 2:
        raise UserError("there is no second model", hint="start with --compare base")
    desk.compare = not desk.compare
    names = " and ".join(conversation.name for conversation in desk.asked)
    write(f"now prompting {names}\n")


def _save(desk: Desk, text: str, write: Write) -> None:
    if not text:
        raise UserError("/save needs a file name", hint="such as /save chat.md or /save chat.json")
    path = Path(text).expanduser()
    for number, conversation in enumerate(desk.asked):
        target = path if number == 0 else path.with_stem(f"{path.stem}-{conversation.name}")
        sampling = desk.sampling.as_dict()
        save(Transcript(conversation.name, conversation.messages, sampling), target)
        write(f"saved to {target}\n")


def _tokens(desk: Desk, text: str, write: Write) -> None:
    if text and not (text.isdecimal() and 0 < int(text) <= MOST_RIVALS):
        raise UserError(
            f"/tokens {text}: not a valid number", hint=f"use 1 to {MOST_RIVALS} alternatives"
        )
    for conversation in desk.asked:
        if len(desk.asked) > 1:
            write(f"--- {conversation.name}\n")
        with interrupt_cancels(conversation.session):
            found = conversation.session.alternatives(int(text or RIVALS) + 1)
        write("".join(f"{one}\n" for one in found) or "no response to inspect yet\n")


def _new(desk: Desk, _text: str, write: Write) -> None:
    for conversation in desk.conversations:
        conversation.restart()
    write("started a new conversation\n")


def _help(_desk: Desk, _text: str, write: Write) -> None:
    for name, (_action, meaning) in COMMANDS.items():
        write(f"/{name:8} {meaning}\n")
    write("/quit     exit\n")
    write(f"{FILE_PREFIX}path as a message sends the file's contents; Ctrl+C stops a response\n")


COMMANDS: dict[str, tuple[Callable[[Desk, str, Write], None], str]] = {
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
