"""A conversation kept as a file: JSON for programs, Markdown for people. Both load back equal.

In Markdown a message begins at a line `## role`; such a line inside a message is written with a
backslash before it, as Markdown itself would have it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.core import files
from workbench.core.errors import UserError
from workbench.dataset.rows import Message

FORMAT = "workbench-conversation-1"
ROLES = ("system", "user", "assistant", "tool")
_HEADING = re.compile(r"^## (system|user|assistant|tool)$", re.MULTILINE)
_LIKE_HEADING = re.compile(r"^(\\*)(?=## (?:system|user|assistant|tool)$)", re.MULTILINE)
_ESCAPED = re.compile(r"^\\(?=\\*## (?:system|user|assistant|tool)$)", re.MULTILINE)


@dataclass(frozen=True)
class Transcript:
    """Who said what to which model, with which settings."""

    model: str
    messages: tuple[Message, ...]
    sampling: dict[str, Any] = field(default_factory=dict)


def save(transcript: Transcript, path: Path) -> None:
    """Write as Markdown for `.md`, as JSON for `.json`; whole or not at all.

    Raises UserError for another suffix or a folder that cannot be written.
    """
    if path.suffix not in (".md", ".json"):
        raise UserError(f"cannot save as {path.suffix or path.name!r}", hint="use .md or .json")
    text = to_markdown(transcript) if path.suffix == ".md" else to_json(transcript)
    try:
        files.write_atomic(path, text)
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}", path=path) from error


def load(path: Path) -> Transcript:
    """The conversation in `path`. Raises UserError for what is none."""
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", path=path) from error
    return _from_markdown(text, path) if path.suffix == ".md" else _from_json(text, path)


def to_json(transcript: Transcript) -> str:
    """The conversation as indented JSON."""
    said = [{"role": m.role, "content": m.content} for m in transcript.messages]
    value = {
        "format": FORMAT,
        "model": transcript.model,
        "sampling": transcript.sampling,
        "messages": said,
    }
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_markdown(transcript: Transcript) -> str:
    """The conversation as Markdown. The settings stand in a comment."""
    head = {"format": FORMAT, "model": transcript.model, "sampling": transcript.sampling}
    comment = json.dumps(head, allow_nan=False).replace(">", "\\u003e")  # no `-->` inside
    parts = [f"<!-- {comment} -->\n\n"]
    for message in transcript.messages:
        body = _LIKE_HEADING.sub(r"\1\\", message.content)
        parts.append(f"## {message.role}\n\n{body}\n\n")
    return "".join(parts)


def _from_markdown(text: str, path: Path) -> Transcript:
    first, _, rest = text.partition("\n\n")
    if not first.startswith("<!-- ") or not first.endswith(" -->"):
        raise UserError("not a saved conversation", path=path, line=1)
    head = _object(first[5:-4], path)
    pieces = _HEADING.split(rest)[1:]
    messages = []
    for role, body in zip(pieces[::2], pieces[1::2], strict=True):
        content = body.removeprefix("\n\n").removesuffix("\n\n")
        messages.append(Message(role, _ESCAPED.sub("", content)))
    return Transcript(_model(head, path), tuple(messages), head.get("sampling") or {})


def _from_json(text: str, path: Path) -> Transcript:
    value = _object(text, path)
    messages = value.get("messages")
    if not isinstance(messages, list) or not all(_is_message(m) for m in messages):
        raise UserError("not a saved conversation: 'messages' is damaged", path=path)
    said = tuple(Message(m["role"], m["content"]) for m in messages)
    return Transcript(_model(value, path), said, value.get("sampling") or {})


def _is_message(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return value.get("role") in ROLES and isinstance(value.get("content"), str)


def _object(text: str, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise UserError("not a saved conversation", path=path)
    return value


def _model(head: dict[str, Any], path: Path) -> str:
    if not isinstance(head.get("model"), str):
        raise UserError("not a saved conversation: 'model' is missing", path=path)
    return str(head["model"])
