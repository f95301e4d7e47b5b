"""One registry feeds bindings, footer, palette, help and docs: they cannot drift apart."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.helpers import on_screen
from workbench.core.errors import UserError
from workbench.tui.actions import EVERYWHERE, IN_LISTS
from workbench.tui.app import WorkbenchApp
from workbench.tui.dialogs.help import Help
from workbench.tui.keymap import all_actions, key_name, keys_of, markdown, read_keymap
from workbench.tui.pane_list import PANES
from workbench.tui.saved_state import keymap_file
from workbench.tui.widgets.row_list import RowList

BANNED = {
    "ctrl+enter",
    "ctrl+m",
    "ctrl+i",
    "ctrl+h",
    "ctrl+j",
    "ctrl+a",
    "ctrl+b",
    "ctrl+s",
    "ctrl+z",
}


def test_ids_are_unique_and_name_their_pane() -> None:
    ids = [action.id for action in all_actions()]
    assert max(Counter(ids).values()) == 1
    places = {"app", "list"} | {spec.id for spec in PANES}
    assert {action.pane for action in all_actions()} <= places
    for spec in PANES:
        assert {action.pane for action in spec.load().ACTIONS} <= {spec.id}
        assert spec.load().ID == spec.id and spec.load().HELP


def test_every_action_can_be_carried_out() -> None:
    owners = {"app": WorkbenchApp, "list": RowList} | {spec.id: spec.load() for spec in PANES}
    for action in all_actions():
        assert hasattr(owners[action.pane], f"action_{action.name}"), action.id
        assert action.help.endswith(".") and action.title


def test_labels_are_short_and_the_same_action_has_the_same_word() -> None:
    for action in all_actions():
        assert len(action.title) <= 14 and len(action.help) <= 55, action.id
        assert action.title[0].isupper() and action.help[0].isupper(), action.id
    words: dict[str, set[str]] = {}
    for action in all_actions():
        words.setdefault(action.name, set()).add(action.title)
    assert words.pop("find") == {"Filter", "Search"}, "a list is filtered, text is searched"
    assert [name for name, titles in words.items() if len(titles) > 1] == []
    compares = {"runs.compare", "chat.compare", "evaluate.against"}
    assert {action.id for action in all_actions() if action.title == "Compare"} == compares


def test_keys_work_in_any_terminal_and_do_not_collide() -> None:
    common = [key for action in EVERYWHERE for key in action.keys.split(",")]
    common += [spec.key for spec in PANES]
    for spec in PANES:
        own = [key for action in spec.load().ACTIONS for key in action.keys.split(",")]
        assert not BANNED & set(own + common)
        twice = [key for key, times in Counter(own + common).items() if times > 1]
        assert twice == [], spec.id


def test_the_help_of_every_pane_holds_all_of_its_actions() -> None:
    for spec in PANES:
        kind = spec.load()
        text = Help(spec.title, kind.HELP, kind.ACTIONS, {}).text().plain
        for action in (*kind.ACTIONS, *EVERYWHERE, *IN_LISTS):
            assert action.help in text and keys_of(action, {})[0] in text


def test_names_of_keys() -> None:
    names = ("ctrl+p", "question_mark", "enter", "R", "f2", "left", "slash", "delete")
    assert [key_name(key) for key in names] == ["^p", "?", "enter", "R", "f2", "←", "/", "del"]


def test_a_keymap_moves_a_key_everywhere() -> None:
    keymap_file().parent.mkdir(parents=True)
    keymap_file().write_text('"app.zoom" = "f5"\n"app.help" = "f3"\n')

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await pilot.pause()
        await pilot.press("question_mark")
        assert not isinstance(app.screen, Help)
        await pilot.press("f3")
        assert isinstance(app.screen, Help) and "f5" in app.screen.text().plain

    on_screen(story)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('"runs.stopp" = "x"', "unknown action 'runs.stopp' (did you mean 'runs.stop'?)"),
        ('"runs.stop" = 7', "the keys of 'runs.stop' are not a string"),
        ('"runs.stop', "cannot be read"),
    ],
)
def test_a_faulty_keymap_is_one_line(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "keys.toml").write_text(text)
    with pytest.raises(UserError) as caught:
        read_keymap(tmp_path / "keys.toml")
    assert fault in str(caught.value)


def test_the_docs_hold_the_keys_of_today() -> None:
    """Write them anew with: python -m workbench.tui.keymap > docs/tui-keys.md"""
    assert Path("docs/tui-keys.md").read_text() == markdown()
