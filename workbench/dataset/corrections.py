"""Corrected answers: appended to a dataset as a row, and kept as a preference pair.

The file decides the form of the row: `# INPUT` and `# OUTPUT` in its spelling, prompt and
completion, or a whole chat. Before the file is replaced, the readers that training uses read the
new one: the earlier rows must come out unchanged, followed by the new row. Otherwise nothing is
written.

Next to `rows.jsonl`, `rows.jsonl.preferences` keeps the rejected answer with its correction: JSON
Lines with `prompt`, `chosen` and `rejected`, each a list of messages, as preference training reads
them, and with the model that gave the rejected answer, the time, and the row of the correction. No
folder or pattern of data sources takes a file of this name for rows.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from workbench.core import files
from workbench.core.errors import UserError
from workbench.core.text import one_line
from workbench.dataset.readers import chat
from workbench.dataset.readers.instruction_records import PROMPT_COMPLETION
from workbench.dataset.readers.text_pairs import INPUT_OUTPUT
from workbench.dataset.rows import ASSISTANT, USER, Message, Place, Row
from workbench.dataset.sources import plan_source, read_source

MAX_BYTES = 64 << 20
FORMATS = (INPUT_OUTPUT.FORMAT, PROMPT_COMPLETION.FORMAT, chat.FORMAT)


@dataclass(frozen=True)
class AppendedRow:
    """Where the row stands now, in which format, and how many earlier turns it leaves out."""

    place: Place
    format: str
    left_out: int


def append(path: Path, messages: Sequence[Message], tags: Sequence[str] = ()) -> AppendedRow:
    """Append the conversation, whose last message is the answer. Raises UserError, file unchanged.

    A file of questions and answers gets the last question alone; one of chats gets all of it.
    `tags` tell where the row came from, in a file whose rows may say so.
    """
    path = path.expanduser().resolve()
    format = format_of(path)
    kept = _kept(messages, format)
    before = _bytes(path)
    added = _text(kept, format, before.decode("utf-8", "replace"), tags)
    gap = b"" if not before or before.endswith(b"\n") else b"\n"
    gap += b"\n" if before and format == INPUT_OUTPUT.FORMAT else b""
    whole = before + gap + added.encode()
    place = _proved(path, before, whole, format, kept)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomic(path, whole)
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}", path=path) from error
    return AppendedRow(place, format, len(messages) - len(kept))


def format_of(path: Path) -> str:
    """The format of the file, or of a new one by its name. Raises UserError for any other."""
    path = path.expanduser()
    if not path.exists() or (path.is_file() and not path.stat().st_size):
        if path.suffix in (".jsonl", ".ndjson"):
            return PROMPT_COMPLETION.FORMAT
        if path.suffix in (".txt", ".md"):
            return INPUT_OUTPUT.FORMAT
        raise UserError("unknown file format", path=path, hint="use .jsonl or .txt")
    plan = plan_source(path)
    found = plan.files[0][1] if len(plan.files) == 1 and path.is_file() else ""
    if found not in FORMATS or (found != INPUT_OUTPUT.FORMAT and _bytes(path).lstrip()[:1] == b"["):
        what = f"{found} rows" if found else "not a file of rows"
        raise UserError(
            f"cannot be appended to: {what}", path=path, hint="use " + ", ".join(FORMATS)
        )
    return found


def _kept(messages: Sequence[Message], format: str) -> list[Message]:
    assert messages[-1].role == ASSISTANT and messages[-2].role == USER
    if format == chat.FORMAT:
        return list(messages)
    question, answer = messages[-2:]
    if format == INPUT_OUTPUT.FORMAT:  # empty lines around a text do not count there
        question = replace(question, content=_bare(question.content))
        answer = replace(answer, content=_bare(answer.content))
    return [question, answer]


def _bare(text: str) -> str:
    lines = text.rstrip().split("\n")
    first = next((n for n, line in enumerate(lines) if line.strip()), 0)
    return "\n".join(lines[first:])


def _text(kept: Sequence[Message], format: str, before: str, tags: Sequence[str]) -> str:
    question, answer = kept[-2].content, kept[-1].content
    if format == INPUT_OUTPUT.FORMAT:
        heads = _headers(before)
        return f"{heads['INPUT']}\n\n{question}\n\n{heads['OUTPUT']}\n\n{answer}\n"
    row: dict[str, object] = {"prompt": question, "completion": answer}
    if format == chat.FORMAT:
        row = {"messages": [{"role": m.role, "content": m.content} for m in kept]}
    if tags:
        row["tags"] = [one_line(tag, 80) for tag in tags]
    return json.dumps(row, ensure_ascii=False) + "\n"


def _headers(before: str) -> dict[str, str]:
    """The two headers as the file spells them: the first of each."""
    found = {"INPUT": "# INPUT", "OUTPUT": "# OUTPUT"}
    open_names = set(found)
    for line in before.splitlines():
        name = line.strip("# \t:").upper()
        if line.startswith("#") and name in open_names:
            found[name] = line.strip()
            open_names.discard(name)
    return found


def _proved(path: Path, before: bytes, whole: bytes, format: str, kept: Sequence[Message]) -> Place:
    """The place of the new row, once both contents were read and compared."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        old = _rows(copy, before, format) if before.strip() else []
        new = _rows(copy, whole, format)
    said = [(m.role, m.content) for m in kept]
    if len(new) != len(old) + 1 or [r.messages for r in new[:-1]] != [r.messages for r in old]:
        hint = "it may contain a line that looks like a header"
        raise UserError("this response cannot be saved as a row", path=path, hint=hint)
    if [(m.role, m.content) for m in new[-1].messages] != said:
        raise UserError("this response would not be read back unchanged", path=path)
    return Place(str(path), new[-1].place.line)


def _rows(copy: Path, content: bytes, format: str) -> list[Row]:
    copy.write_bytes(content)
    return read_source(copy, format).rows


def _bytes(path: Path) -> bytes:
    try:
        if path.exists() and path.stat().st_size > MAX_BYTES:
            raise UserError("the file is too large to append to here", path=path)
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", path=path) from error


SUFFIX = ".preferences"


def keep_pair(
    row: Place, asked: Sequence[Message], chosen: str, rejected: str, said_by: str
) -> Path | None:
    """Append the pair beside the file of `row`; None where there was nothing to reject.

    Raises UserError when it cannot be written.
    """
    if not rejected.strip() or rejected == chosen:
        return None
    path = Path(f"{row.path}{SUFFIX}")
    value = {
        "prompt": [_message(message) for message in asked],
        "chosen": [_message(Message(ASSISTANT, chosen))],
        "rejected": [_message(Message(ASSISTANT, rejected))],
        "said_by": said_by,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "row": str(row),
    }
    line = json.dumps(value).encode() + b"\n"  # ASCII: a model may have written half a character
    try:
        _append(path, line)
    except OSError as error:
        reason = f"row appended, but the rejected response was not saved: {error.strerror}"
        raise UserError(reason, path=path) from error
    return path


def _message(message: Message) -> dict[str, str]:
    return {"role": message.role, "content": message.content}


def _append(path: Path, line: bytes) -> None:
    """Behind a last line that was cut off, too, it is a line of its own."""
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        end = os.fstat(fd).st_size
        torn = end and os.pread(fd, 1, end - 1) != b"\n"
        files.write_all(fd, b"\n" + line if torn else line)
        os.fsync(fd)
    finally:
        os.close(fd)
