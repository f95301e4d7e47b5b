"""What a data set is made of: rows, each with the place it came from, and faults.

A row is a conversation (`messages`) or a document (`text`), never both. A fault names its place,
what is wrong, and how to mend it; `fatal` ones refuse the data set, the others are only told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import UserError, UserErrors
from workbench.text import one_line

SYSTEM, USER, ASSISTANT, TOOL = "system", "user", "assistant", "tool"
ROLES = (SYSTEM, USER, ASSISTANT, TOOL)


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file; lines count from 1."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `train` says whether an assistant's turn is learnt; other roles never are."""

    role: str
    content: str
    train: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """One example: a conversation, or a document of raw text."""

    place: Place
    messages: tuple[Message, ...] = ()
    text: str = ""
    category: str = ""
    must_contain: tuple[str, ...] = ()
    source: str = ""

    @property
    def kind(self) -> str:
        """`chat` or `text`."""
        return "chat" if self.messages else "text"

    @property
    def expected(self) -> str:
        """The last assistant message, `""` where there is none."""
        last = self._last_answer()
        return "" if last is None else self.messages[last].content

    def prompt_messages(self) -> tuple[Message, ...]:
        """All before the last assistant message; all messages where there is none."""
        return self.messages[: self._last_answer()]

    def opening(self) -> tuple[Message, ...]:
        """All before the first assistant message: what the conversation began with."""
        for index, message in enumerate(self.messages):
            if message.role == ASSISTANT:
                return self.messages[:index]
        return self.messages

    def to_json(self) -> dict[str, Any]:
        """A strict-JSON object; `from_json` gives the same row back."""
        value: dict[str, Any] = {"path": self.place.path, "line": self.place.line}
        if self.messages:
            value["messages"] = [_message_json(message) for message in self.messages]
        else:
            value["text"] = self.text
        optional = {
            "category": self.category,
            "must_contain": list(self.must_contain),
            "source": self.source,
        }
        return value | {key: entry for key, entry in optional.items() if entry}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Row:
        """The row that `to_json` wrote. Raises KeyError or TypeError for anything else."""
        messages = value.get("messages", ())
        return cls(
            Place(value["path"], value["line"]),
            tuple(Message(m["role"], m["content"], m.get("train", True)) for m in messages),
            value.get("text", ""),
            value.get("category", ""),
            tuple(value.get("must_contain", ())),
            value.get("source", ""),
        )

    def _last_answer(self) -> int | None:
        for index in range(len(self.messages) - 1, -1, -1):
            if self.messages[index].role == ASSISTANT:
                return index
        return None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong at a place. Its text is one line, whatever the data held."""

    place: Place
    code: str
    message: str
    hint: str = ""
    fatal: bool = True

    def __str__(self) -> str:
        return str(self.error())

    def error(self) -> UserError:
        """The fault as an error for the person; a line of 0 means the whole file."""
        return UserError(
            one_line(self.message, 400),
            path=one_line(self.place.path, 400),
            line=self.place.line or None,
            hint=one_line(self.hint, 400),
        )


def raise_faults(faults: Iterable[Fault]) -> None:
    """Raise UserErrors with every fatal fault; return when there is none."""
    errors = [fault.error() for fault in faults if fault.fatal]
    if errors:
        raise UserErrors(errors)


def _message_json(message: Message) -> dict[str, Any]:
    value: dict[str, Any] = {"role": message.role, "content": message.content}
    return value if message.train else value | {"train": False}
