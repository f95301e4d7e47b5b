"""All actions of the screen in one place, and the keys they have now.

Imports every pane: for the palette, the help and the tests, not for the start.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from textual.keys import format_key

from workbench.errors import UserError
from workbench.text import did_you_mean
from workbench.tui.actions import EVERYWHERE, IN_LISTS, Action
from workbench.tui.panes import PANES

WORDS = {"enter": "enter", "escape": "esc", "delete": "del", "space": "space", "tab": "tab"}


def all_actions() -> tuple[Action, ...]:
    """Every action: of the app, of lists, then pane by pane."""
    panes = [spec.load().ACTIONS for spec in PANES]
    return (*EVERYWHERE, *IN_LISTS, *(action for actions in panes for action in actions))


def key_names(keys: str) -> list[str]:
    """Keys for the eye: `"ctrl+p,question_mark"` as `["^p", "?"]`."""
    return [key_name(key) for key in keys.split(",") if key]


def key_name(key: str) -> str:
    *modifiers, last = key.split("+")
    shown = WORDS.get(last) or format_key(last)
    if "ctrl" in modifiers:
        modifiers.remove("ctrl")
        shown = f"^{shown}"
    return "+".join([*modifiers, shown])


def keys_of(action: Action, keymap: Mapping[str, str]) -> list[str]:
    """The keys of an action for the eye, after remapping."""
    return key_names(keymap.get(action.id, action.keys))


def read_keymap(path: Path) -> dict[str, str]:
    """The person's own keys: a TOML file with lines such as `"runs.stop" = "ctrl+x"`.

    An absent file gives none. Raises UserError for an id that no action has.
    """
    try:
        fields = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read: {error}", path=path) from error
    known = [action.id for action in all_actions()]
    for name, keys in fields.items():
        if name not in known:
            raise UserError(f"no action '{name}'", path=path, hint=did_you_mean(name, known))
        if not isinstance(keys, str) or not keys:
            raise UserError(f"the keys of '{name}' are no text", path=path, hint='write "ctrl+x"')
    return fields


def markdown() -> str:
    """The keys of every pane as a page of the docs; a test holds the page to it."""
    groups = [(spec.title, spec.load().HELP, spec.load().ACTIONS) for spec in PANES]
    everywhere = ("Everywhere", "A pane's number goes there.", EVERYWHERE)
    lists = ("In lists", "Runs, rows, answers, notes, logs.", IN_LISTS)
    lines = ["# Keys of the screen", "", "Made by `python -m workbench.tui.registry`.", ""]
    for title, about, actions in (*groups, everywhere, lists):
        lines += [f"## {title}", "", about, "", "| keys | action | id |", "|---|---|---|"]
        lines += [
            f"| {' '.join(f'`{key}`' for key in keys_of(one, {}))} | {one.help} | `{one.id}` |"
            for one in actions
        ]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown(), end="")
