"""What a data set is made of: rows, each with the place it came from, and faults.

A row is a conversation (`messages`) or a document (`text`), never both. A fault names its place,
what is wrong, and how to mend it; `fatal` ones refuse the data set, the others are only told.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from workbench.core.errors import UserError, UserErrors
from workbench.core.text import one_line

if TYPE_CHECKING:
    from dataclasses import dataclass as value_class
else:

    def value_class(*, frozen: bool, slots: bool) -> Any:
        """As `dataclass`; frozen for the type checker alone.

        At run time a frozen class takes five times as long to make, and rows come by the million.
        """
        return dataclass(slots=slots, unsafe_hash=frozen)


SYSTEM, USER, ASSISTANT, TOOL = "system", "user", "assistant", "tool"
ROLES = (SYSTEM, USER, ASSISTANT, TOOL)
RowKind = Literal["chat", "text"]


@value_class(frozen=True, slots=True)
class Place:
    """A line of a file, or a record's number where it has no lines; both count from 1.

    0 stands for the whole file or folder.
    """

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@value_class(frozen=True, slots=True)
class Message:
    """One turn. `train` says whether an assistant's turn is trained; other roles never are.

    An assistant may think first (`reasoning`) and call tools: `tool_calls` holds objects with a
    `function` of `name` and `arguments`. A tool answers, with the `name` or `tool_call_id` if any.
    """

    role: str
    content: str
    train: bool = True
    reasoning: str = ""
    tool_calls: tuple[dict[str, Any], ...] = field(default=(), hash=False)
    tool_call_id: str = ""
    name: str = ""

    @property
    def said(self) -> str:
        """Everything that the turn says as one text: reasoning, content and calls of tools."""
        if not (self.reasoning or self.tool_calls):
            return self.content
        calls = json.dumps(self.tool_calls, ensure_ascii=False) if self.tool_calls else ""
        return "\n".join(filter(None, (self.reasoning, self.content, calls)))

    def to_template(self) -> dict[str, Any]:
        """The message as a chat template sees it; the one place that makes it.

        What is empty is left out. Reasoning goes by both names that templates know.
        """
        value: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.reasoning:
            value |= {"reasoning_content": self.reasoning, "thinking": self.reasoning}
        if self.tool_calls:
            value["tool_calls"] = list(self.tool_calls)
        optional = {"tool_call_id": self.tool_call_id, "name": self.name}
        return value | {key: entry for key, entry in optional.items() if entry}

    def to_json(self) -> dict[str, Any]:
        """A strict-JSON object; `from_json` gives the same message back."""
        value: dict[str, Any] = {"role": self.role, "content": self.content}
        if not self.train:
            value["train"] = False
        optional = {key: getattr(self, key) for key in ("reasoning", "tool_call_id", "name")}
        if self.tool_calls:
            value["tool_calls"] = list(self.tool_calls)
        return value | {key: entry for key, entry in optional.items() if entry}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Message:
        """The message that `to_json` wrote. Raises KeyError for anything else."""
        return cls(
            value["role"],
            value["content"],
            value.get("train", True),
            value.get("reasoning", ""),
            tuple(value.get("tool_calls", ())),
            value.get("tool_call_id", ""),
            value.get("name", ""),
        )


@value_class(frozen=True, slots=True)
class Row:
    """One example: a conversation, or a document of raw text.

    `tools` are the JSON schemas of the tools that the assistant may call. `labels` are further
    facts about the row, (name, value) each; a name may stand more than once.
    """

    place: Place
    messages: tuple[Message, ...] = ()
    text: str = ""
    category: str = ""
    must_contain: tuple[str, ...] = ()
    source: str = ""
    difficulty: str = ""
    tags: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    tools: tuple[dict[str, Any], ...] = field(default=(), hash=False)

    @property
    def kind(self) -> RowKind:
        """`chat` for a conversation, `text` for a document."""
        return "chat" if self.messages else "text"

    def said(self) -> list[str]:
        """What each turn says; of a document its text."""
        if not self.messages:
            return [self.text]
        return [m.said if m.reasoning or m.tool_calls else m.content for m in self.messages]

    @property
    def expected(self) -> str:
        """The last assistant message, `""` where there is none."""
        last = self._last_answer()
        return "" if last is None else self.messages[last].content

    def labelled(self, labels: Iterable[tuple[str, str]]) -> Row:
        """The row with more labels; those without a value are left out."""
        found = tuple((name, value) for name, value in labels if value)
        return replace(self, labels=self.labels + found) if found else self

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
            value["messages"] = [message.to_json() for message in self.messages]
        else:
            value["text"] = self.text
        optional = {
            "category": self.category,
            "must_contain": list(self.must_contain),
            "source": self.source,
            "difficulty": self.difficulty,
            "tags": list(self.tags),
            "labels": [list(pair) for pair in self.labels],
            "tools": list(self.tools),
        }
        return value | {key: entry for key, entry in optional.items() if entry}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Row:
        """The row that `to_json` wrote. Raises KeyError or TypeError for anything else."""
        messages = value.get("messages", ())
        return cls(
            Place(value["path"], value["line"]),
            tuple(Message.from_json(message) for message in messages),
            value.get("text", ""),
            value.get("category", ""),
            tuple(value.get("must_contain", ())),
            value.get("source", ""),
            value.get("difficulty", ""),
            tuple(value.get("tags", ())),
            tuple((name, entry) for name, entry in value.get("labels", ())),
            tuple(value.get("tools", ())),
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
