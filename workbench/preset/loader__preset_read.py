"""From a preset's name to the values of its TOML file, and the line where each stands.

Whatever the file holds, the outcome is values or a UserError: no other exception.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

from workbench.core.errors import UserError
from workbench.preset import lookup
from workbench.preset.toml_text import Layout, layout
from workbench.core.text import one_line

MAX_BYTES = 1 << 20
_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")
_AT_END = " (at end of document)"


def preset_file(name_or_path: str) -> Path:
    """The file that a preset's name or path means. Raises UserError for an unknown name."""
    looks_like_path = name_or_path.endswith(".toml") or "/" in name_or_path or "\\" in name_or_path
    if looks_like_path:
        return Path(os.path.expanduser(name_or_path))
    try:
        return lookup.find(name_or_path)
    except UserError:
        if "\0" not in name_or_path and Path(name_or_path).is_file():
            return Path(name_or_path)
        raise


def read_text(path: Path) -> str:
    """The text of a file without its byte order mark. Raises UserError if it has none."""
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UserError("file not found", path=one_line(str(path), 200)) from None
    except IsADirectoryError:
        hint = "give the .toml file of a preset"
        raise UserError("is a folder", path=path, hint=hint) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"cannot be read: {reason}", path=one_line(str(path), 200)) from None
    if len(raw) > MAX_BYTES:
        raise UserError(f"larger than {MAX_BYTES} bytes; not a preset", path=path)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        what = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        raise UserError(what, path=path, line=line, hint="save the file as UTF-8") from None


def read_toml(text: str, path: Path) -> tuple[dict[str, Any], Layout]:
    """The values of a TOML text and where each stands. Raises UserError at what is not TOML."""
    try:
        return tomllib.loads(text), layout(text.replace("\r\n", "\n"))
    except RecursionError:
        raise UserError("nested too deeply", path=path) from None
    except ValueError as error:
        message = str(error)
        found = _AT_LINE.search(message)
        line = int(found.group(1)) if found else text.count("\n") + 1
        what = _AT_LINE.sub("", message.removesuffix(_AT_END))
        what = f"invalid TOML: {one_line(what, 200)}"
        known = line if found or message.endswith(_AT_END) else None
        raise UserError(what, path=path, line=known) from None
