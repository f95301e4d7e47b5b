"""Where tomlkit alone would put a key wrongly, it is right; the rest of the text stays."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings

from tests.preset.test_toml_text import texts
from workbench.preset.toml_tables import join, put, remove, split

Path = tuple[str | int, ...]


def after_put(text: str, path: Path, value: Any) -> str:
    tables = split(text)
    put(tables, path, value)
    return join(tables)


def after_remove(text: str, path: Path) -> str:
    tables = split(text)
    remove(tables, path)
    return join(tables)


@settings(max_examples=200, deadline=None)
@given(text=texts())
def test_any_text_is_cut_into_tables_that_hold_their_own_keys(text: str) -> None:
    tables = split(text)
    assert join(tables) == text
    for table in tables:
        node: Any = tomllib.loads(text)
        for part in table.path:
            node = node[part]
        own = tomllib.loads(table.keys)
        assert {key: node[key] for key in own} == own
        below = {one.path[len(table.path)] for one in tables if _is_below(one.path, table.path)}
        assert set(node) - below <= set(own)


def _is_below(path: Path, above: Path) -> bool:
    return len(path) > len(above) and path[: len(above)] == above


CASES = {
    "a key stays above the comment of the next table": (
        '[model]\nbase = "x"\n\n# about the data\n[data]\nseed = 1\n',
        ("model", "dtype"),
        '[model]\nbase = "x"\ndtype = "new"\n\n# about the data\n[data]\nseed = 1\n',
    ),
    "a table stays above the comment of the next table": (
        '[[train]]\nname = "a"\n\n# about the export\n[export]\n',
        ("train", 0, "adapter", "targets"),
        '[[train]]\nname = "a"\n\n[train.adapter]\ntargets = "new"\n\n'
        "# about the export\n[export]\n",
    ),
    "a key at the end stays above the last comment": (
        "[data]\nseed = 1\n\n# the end\n",
        ("data", "x"),
        '[data]\nseed = 1\nx = "new"\n\n# the end\n',
    ),
    "a key without a new line before it gets one": (
        "[data]\nseed = 1\n",
        ("data", "x"),
        '[data]\nseed = 1\nx = "new"\n',
    ),
    "an empty table takes its first key right below its header": (
        "[data]  # none\n\n# more\n[model]\n",
        ("data", "x"),
        '[data]  # none\nx = "new"\n\n# more\n[model]\n',
    ),
    "a first key of the top stands above the first table's comment": (
        "# mine\n\n# model\n[model]\n",
        ("description",),
        '# mine\n\ndescription = "new"\n# model\n[model]\n',
    ),
    "a dotted key next to a dotted key of another table": (
        'model.device = "cpu" # d\n\n# data\ndata.seed = 1\n',
        ("model", "sub", "key"),
        'model.device = "cpu" # d\nmodel.sub.key = "new"\n\n# data\ndata.seed = 1\n',
    ),
    "a dotted key below the dotted keys of its own table": (
        'model.sub.a = 1\nmodel.device = "cpu"\n',
        ("model", "sub", "key"),
        'model.sub.a = 1\nmodel.sub.key = "new"\nmodel.device = "cpu"\n',
    ),
    "the first of several dotted keys is replaced": (
        'model.device = "cpu" # d\nmodel.sub.key = 1\n',
        ("model", "device"),
        'model.device = "new" # d\nmodel.sub.key = 1\n',
    ),
    "a dotted key within a table": (
        '[[train]]\nadapter.rank = 4\nname = "a"\n',
        ("train", 0, "adapter", "alpha"),
        '[[train]]\nadapter.rank = 4\nadapter.alpha = "new"\nname = "a"\n',
    ),
    "tables of a list that others stand between": (
        '[[train]]\nname = "a"\n[data]\n[[train]]\nname = "b" # b\n\n# end\n',
        ("train", 2, "name"),
        '[[train]]\nname = "a"\n[data]\n[[train]]\nname = "b" # b\n\n[[train]]\nname = "new"\n'
        "\n# end\n",
    ),
    "a table of a list that others stand between": (
        '[[train]]\nname = "a"\n[data]\n[[train]]\nname = "b"\n',
        ("train", 0, "x"),
        '[[train]]\nname = "a"\nx = "new"\n[data]\n[[train]]\nname = "b"\n',
    ),
    "a table that is only named by the tables below it": (
        '[[evaluate.guard]]\nname = "g"\n\n# x\n[export]\n',
        ("evaluate", "x"),
        '[[evaluate.guard]]\nname = "g"\n\n[evaluate]\nx = "new"\n\n# x\n[export]\n',
    ),
    "a tight inline table": ("a = {x=1} # c\n", ("a", "y"), 'a = {x=1, y = "new"} # c\n'),
    "a wide inline table": ("a = { x = 1 }\n", ("a", "y"), 'a = { x = 1, y = "new" }\n'),
    "an empty inline table": ("a = {}\n", ("a", "y"), 'a = { y = "new" }\n'),
    "a dotted key within an inline table": (
        "a = { b.c = 1 }\n",
        ("a", "b", "d"),
        'a = { b.c = 1, b.d = "new" }\n',
    ),
    "a list on one line": (
        "a = [{ x = 1 }]\n",
        ("a", 1, "x"),
        'a = [{ x = 1 }, { "x" = "new" }]\n',
    ),
    "a list with a comma at its end": (
        "a = [\n  { x = 1 }, # first\n  # none\n]\n",
        ("a", 1, "x"),
        'a = [\n  { x = 1 }, # first\n  # none\n  { "x" = "new" },\n]\n',
    ),
    "a key that needs quotes": ("[a]\nb = 1\n", ("a", "c d"), '[a]\nb = 1\n"c d" = "new"\n'),
}


@pytest.mark.parametrize("case", CASES)
def test_a_new_value_is_put_in_its_place(case: str) -> None:
    text, path, expected = CASES[case]
    assert after_put(text, path, "new") == expected
    assert split(expected) and tomllib.loads(expected)


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("[a]\n# x\nb = 1 # c\n# y\nd = 2\n", ("a", "b"), "[a]\n# x\n# y\nd = 2\n"),
        ("a.b = 1\na.c = 2\n", ("a", "b"), "a.c = 2\n"),
        ("a = { x = 1, y = 2 } # c\n", ("a", "y"), "a = { x = 1 } # c\n"),
        ("a = { x = 1, y = 2 } # c\n", ("a", "x"), "a = { y = 2 } # c\n"),
        ("a = {x=1,y=2}\n", ("a", "x"), "a = {y=2}\n"),
        ("a = { x = 1 }\n", ("a", "x"), "a = {}\n"),
        (
            "[[a]]\nx = [\n 1, # one\n]\n# y\n[[a]]\nx = 2\n",
            ("a", 0, "x"),
            "[[a]]\n# y\n[[a]]\nx = 2\n",
        ),
        ("a = [{ x = 1, y = 2 }, 3]\n", ("a", 0, "x"), "a = [{ y = 2 }, 3]\n"),
    ],
)
def test_a_key_is_removed_with_its_line(text: str, path: Path, expected: str) -> None:
    assert after_remove(text, path) == expected


@pytest.mark.parametrize("path", [("a", "x"), ("b",), ("a", "l", 0), ("a", "b", "c")])
def test_what_is_not_there_or_an_item_is_not_removed(path: Path) -> None:
    with pytest.raises(KeyError):
        after_remove("[a]\nb = 1\nl = [1]\n", path)
