"""An edit changes one value and nothing else; comments and order stay."""

from __future__ import annotations

import copy
import tomllib
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.preset.helpers import values
from workbench.core.errors import UserError
from workbench.preset import toml_tables
from workbench.preset.fields import FieldInfo, fields
from workbench.preset.lookup import shipped_root
from workbench.preset.toml_edit import remove_key, save, set_value
from workbench.preset.toml_tables import TableText

TEXT = """\
# mine
description = "x"   # why

[model]
base = "embedded:tiny"  # b

# about the data
[data]
seed = 1   # seed

[[data.source]]
path = "a"  # A

[[train]]
name = "p"

# second stage
[[train]]
name = "s"  # ess
[train.adapter]
rank = 4

# the end
"""


def test_a_value_is_replaced_in_its_place() -> None:
    assert set_value(TEXT, "data.seed", 7) == TEXT.replace("seed = 1 ", "seed = 7 ")


def test_a_new_key_follows_the_keys_of_its_table() -> None:
    """Not the comment that belongs to the next table."""
    expected = TEXT.replace("# b\n", '# b\ndtype = "float32"\n')
    assert set_value(TEXT, "model.dtype", "float32") == expected


def test_a_new_table_of_a_stage_stands_in_that_stage() -> None:
    expected = TEXT.replace('name = "p"\n', 'name = "p"\n\n[train.adapter]\nrank = 8\n')
    assert set_value(TEXT, "train.0.adapter.rank", 8) == expected


def test_a_new_source_follows_the_sources() -> None:
    expected = TEXT.replace("# A\n", '# A\n\n[[data.source]]\npath = "b"\n')
    assert set_value(TEXT, "data.source.1.path", "b") == expected


def test_a_new_stage_follows_the_last_one_with_its_adapter() -> None:
    expected = TEXT.replace("rank = 4\n", 'rank = 4\n\n[[train]]\nname = "t"\n')
    assert set_value(TEXT, "train.2.name", "t") == expected


def test_a_new_section_stands_at_the_end() -> None:
    expected = TEXT + '\n[export]\nformats = ["f16"]\n'
    assert set_value(TEXT, "export.formats", ["f16"]) == expected
    assert set_value("", "train.0.epochs", 1.0) == "[[train]]\nepochs = 1.0\n"
    adapter = "[[train]]\n[train.adapter]\nrank = 8\n"
    assert set_value("", "train.0.adapter.rank", 8) == adapter


def test_a_first_key_of_the_top_stands_before_the_tables() -> None:
    text = "# mine\n\n# the model\n[model]\n"
    expected = '# mine\n\ndescription = "x"\n# the model\n[model]\n'
    assert set_value(text, "description", "x") == expected


def test_inline_and_dotted_tables_keep_their_shape() -> None:
    text = 'model.base = "x" # m\ndata = { source = [{ path = "a" }, ], seed = 1 } # d\ntrain = []'
    assert 'model.base = "x" # m\nmodel.dtype = "auto"\n' in set_value(text, "model.dtype", "auto")
    assert '[{ path = "a", repeat = 2 }, ]' in set_value(text, "data.source.0.repeat", 2)
    assert '[{ path = "a" }, { "path" = "b" }, ]' in set_value(text, "data.source.1.path", "b")
    assert "seed = 1, validation = 0.2 } # d" in set_value(text, "data.validation", 0.2)
    assert 'train = [{ "name" = "sft" }]' in set_value(text, "train.0.name", "sft")


def test_a_key_is_removed_with_the_comment_on_its_line() -> None:
    assert remove_key(TEXT, "data.seed") == TEXT.replace("seed = 1   # seed\n", "")
    assert remove_key(TEXT, "train.1.adapter.rank") == TEXT.replace("rank = 4\n", "")
    assert remove_key(TEXT, "data.validation") == TEXT
    assert remove_key(TEXT, "model.base.x") == TEXT


def test_the_last_dotted_key_of_a_table_is_removed() -> None:
    assert (
        remove_key('model.sub.key = 1\ndescription = "x"', "model.sub.key") == 'description = "x"'
    )
    assert remove_key("[model]\nsub.key = 1\r\n", "model.sub.key") == "[model]\r\n"


@pytest.mark.parametrize("key", ["data.source", "data", "train.0"])
def test_a_table_is_not_removed(key: str) -> None:
    with pytest.raises(UserError, match=f"{key} cannot be set automatically"):
        remove_key(TEXT, key)


def test_carriage_returns_stay() -> None:
    edited = set_value(TEXT.replace("\n", "\r\n"), "train.0.adapter.rank", 8)
    assert edited.replace("\r\n", "\n") == set_value(TEXT, "train.0.adapter.rank", 8)
    assert edited.count("\n") == edited.count("\r\n")


@pytest.mark.parametrize("key", ["train.9.name", "data.source.x.path", "description.x", "0.x"])
def test_a_key_without_a_place_is_refused(key: str) -> None:
    with pytest.raises(UserError):
        set_value(TEXT, key, 1)


def test_a_file_without_a_last_line_end_stays_so() -> None:
    assert set_value("[data]\nseed = 1", "data.x", 2) == "[data]\nseed = 1\nx = 2"
    assert set_value("[data]\nseed = 1", "data.seed", 2) == "[data]\nseed = 2"


def test_an_edit_that_would_say_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line of defence: whatever the edit does, a wrong text is not returned."""

    def wrong(tables: list[TableText], path: Path, value: object) -> None:
        tables[-1].keys += "[other]\n"

    monkeypatch.setattr(toml_tables, "put", wrong)
    with pytest.raises(UserError, match="cannot be set automatically in this file layout"):
        set_value(TEXT, "data.seed", 7)


def test_saving_writes_the_text_whole(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    save(path, TEXT)
    assert path.read_text() == TEXT
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.toml"]


TEXTS = [TEXT, TEXT.replace("\n", "\r\n"), TEXT.rstrip("\n")] + [
    path.read_text() for path in sorted((shipped_root() / "presets").glob("*.toml"))
]
TEXTS += [
    "",
    'model.base = "x" # m\ndata = { source = [{ path = "a" }, ], seed = 1 } # d\ntrain = []',
    'train = [\n  { name = "a" }, # first\n  { name = "b", adapter = { rank = 1 } },\n  # none\n]',
    '[train_of_others]\n[[evaluate.guard]]\nname = "g"\n[evaluate] # late\nsamples = 1',
    "[data]\nsource = [ # none yet\n]\n[model]",
]


@st.composite
def edits(draw: st.DrawFn, given_: dict[str, Any]) -> tuple[str, FieldInfo]:
    """A key of the schema, its lists of tables indexed up to one past their end."""
    path, section, node = "", "", copy.deepcopy(given_)
    while True:
        field = draw(st.sampled_from(fields(section)))
        path, section = f"{path}.{field.key}".strip("."), f"{section}.{field.key}".strip(".")
        node = node.get(field.key, {}) if isinstance(node, dict) else {}
        if field.kind == "tables":
            tables = node if isinstance(node, list) else []
            index = draw(st.integers(0, len(tables)))
            path, node = f"{path}.{index}", tables[index] if index < len(tables) else {}
        elif field.kind != "table":
            return path, field


def comments(text: str) -> list[str]:
    return [line[line.index("#") :].rstrip() for line in text.splitlines() if "#" in line]


@settings(max_examples=300, deadline=None)
@given(data=st.data(), text=st.sampled_from(TEXTS))
def test_any_edit_says_the_new_value_and_keeps_all_comments(data: Any, text: str) -> None:
    before = tomllib.loads(text)
    key, field = data.draw(edits(before))
    value = data.draw(values(field))
    edited = set_value(text, key, value)
    found: Any = tomllib.loads(edited)
    for part in key.split("."):
        found = found[int(part)] if isinstance(found, list) else found[part]
    assert found == value
    old = [comment for comment in comments(text) if comment in edited]
    assert old == comments(text)
    lines = SequenceMatcher(None, text.splitlines(), edited.splitlines(), autojunk=False)
    changes = [change for change in lines.get_opcodes() if change[0] != "equal"]
    assert len(changes) <= 1 and not [c for c in changes if c[0] == "delete"], "in one place"


@settings(max_examples=200, deadline=None)
@given(data=st.data(), text=st.sampled_from(TEXTS))
def test_a_key_that_was_set_is_removed_again(data: Any, text: str) -> None:
    given_ = tomllib.loads(text)
    key, field = data.draw(edits(given_))
    edited = remove_key(set_value(text, key, data.draw(values(field))), key)
    node: Any = tomllib.loads(edited)
    path = [int(part) if part.isdigit() else part for part in key.split(".")]
    assert value_or_none(node, path) is None
    assert comments(text)[:1] == comments(edited)[:1] or value_or_none(given_, path) is not None
    if value_or_none(given_, path[:-1]) is not None and value_or_none(given_, path) is None:
        assert edited.rstrip() == text.rstrip() or "{" in text


def value_or_none(node: Any, path: list[str | int]) -> Any:
    try:
        for part in path:
            node = node[part]
    except (KeyError, IndexError):
        return None
    return node
