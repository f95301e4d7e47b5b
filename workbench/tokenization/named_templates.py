"""A model's own chat templates by name, read from its folder as transformers reads them.

`chat_template.jinja` is the `default` one, each `additional_chat_templates/NAME.jinja` one more.
Where such files exist, the entry in tokenizer_config.json (a text, or a list of objects with `name`
and `template`) does not count. `chat_template.json` of older multimodal models comes last.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.core import files
from workbench.core.errors import UserError
from workbench.core.files import read_json_object
from workbench.core.text import did_you_mean, one_line

DEFAULT, TOOL_USE = "default", "tool_use"
DEFAULT_FILE, FOLDER = "chat_template.jinja", "additional_chat_templates"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def read_templates(folder: Path) -> dict[str, str]:
    """Name -> source of the templates of the model in `folder`; empty if it has none.

    Raises UserError for an entry that is neither a text nor a list of named texts.
    """
    found = _from_files(folder)
    for name in () if found else ("tokenizer_config.json", "chat_template.json"):
        path = folder / name
        found = found or _from_entry(path, read_json_object(path).get("chat_template"))
    return found


def write_templates(templates: Mapping[str, str], folder: Path) -> None:
    """Write `templates` as the files that `read_templates` and transformers look for."""
    for name, source in templates.items():
        path = folder / DEFAULT_FILE if name == DEFAULT else folder / FOLDER / f"{name}.jinja"
        path.parent.mkdir(exist_ok=True)
        files.write_atomic(path, source)


def choose(templates: Mapping[str, str], name: str = "") -> str:
    """The source of that name, or of the default one. Raises UserError if there is none."""
    if name or DEFAULT in templates:
        if (found := templates.get(name or DEFAULT)) is not None:
            return found
        hint = did_you_mean(name, templates) if templates else "use model.chat_template = 'auto'"
        raise UserError(f"the model has no chat template named '{name}'", hint=hint)
    names = ", ".join(f"auto:{one}" for one in templates)
    message = "the model has several chat templates and none is named 'default'"
    raise UserError(message, hint=f"set model.chat_template to one of {names}")


def _from_files(folder: Path) -> dict[str, str]:
    paths = {DEFAULT: folder / DEFAULT_FILE}
    paths |= {path.stem: path for path in sorted((folder / FOLDER).glob("*.jinja"))}
    return {name: _text(path) for name, path in paths.items() if path.is_file()}


def _from_entry(path: Path, entry: Any) -> dict[str, str]:
    if entry is None:
        return {}
    if isinstance(entry, str):
        return {DEFAULT: entry}
    if not isinstance(entry, list) or not all(map(_is_named, entry)):
        raise UserError("chat_template is neither a text nor a list of named templates", path=path)
    for one in entry:
        if not _NAME.fullmatch(one["name"]):
            name = one_line(repr(one["name"]), 60)
            raise UserError(f"{name} is not a valid name of a chat template", path=path)
    return {one["name"]: one["template"] for one in entry}


def _is_named(entry: Any) -> bool:
    wanted = ("name", "template")
    return isinstance(entry, dict) and all(isinstance(entry.get(key), str) for key in wanted)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise UserError("the chat template is not UTF-8", path=path) from None
