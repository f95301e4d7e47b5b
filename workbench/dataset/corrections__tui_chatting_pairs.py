"""A rejected answer and the one put in its place, kept together for training on preferences.

Beside a data set `rows.jsonl` stands `rows.jsonl.preferences`: JSON Lines with `prompt`, `chosen`
and `rejected`, each a list of messages, as trainers on preferences read them, and with who gave
the rejected answer, when, and which row holds the other. By its name no folder or pattern of data
sources takes it for rows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from workbench.core import files
from workbench.dataset.rows import ASSISTANT, Message, Place
from workbench.core.errors import UserError

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
