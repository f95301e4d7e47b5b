"""The scanner finds every key of any TOML text, on its line, with the text of its value."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.preset.toml_text import Path, layout, parse_value, toml_value

# Every value carries a number of its own, so that its line can be found by looking for it.
SCALARS = [
    "{n}",
    '"{n}"',
    "'{n} # no comment'",
    '"{n} \\" ] }} = \\\\"',
    '"""{n}"""',
    '"""\n{n} "quoted" ""\n[no.table]\nkey = 1\n"""',
    '"""{n}""""',
    '"""\\\n  {n} \\""" """""',
    "'''{n}\n[[x]] ''two'' \\'''",
    "'''{n}'''''",
    "1979-05-27 07:32:{n2}",
    "{n}.5e3",
    "0x{n}",
]
KEYS = ["a", "b-1", '"c d"', "'e.f'", '"g\\u0041"', '"]="', "1", '""']
COMMENTS = ["", "  # why", '# [x] = "', "\t#'"]


class Writer:
    """Writes a random TOML text, and notes the line on which each unique number stands."""

    def __init__(self, draw: Any) -> None:
        self.draw, self.count, self.text = draw, 100, ""

    def one_of(self, options: list[Any]) -> Any:
        return self.draw(st.sampled_from(options))

    def scalar(self) -> str:
        self.count += 1
        n2 = f"{self.count % 60:02}"
        return str(self.one_of(SCALARS)).format(n=self.count, n2=f"{n2}.{self.count}")

    def value(self, depth: int) -> str:
        kind = self.one_of(["scalar", "scalar", "array", "inline"]) if depth else "scalar"
        if kind == "scalar":
            return self.scalar()
        items = [self.value(depth - 1) for _ in range(self.draw(st.integers(0, 3)))]
        if kind == "inline":
            keys = self.draw(st.permutations(KEYS))
            return "{" + ", ".join(f"{k} = {v}" for k, v in zip(keys, items, strict=False)) + " }"
        if not items:
            return self.one_of(["[]", "[ ]", "[\n # none\n]"])
        gap = self.one_of([", ", ",", " ,\n", ", # ] why\n\n"])
        return (
            "["
            + self.one_of(["", "\n", " # [\n"])
            + gap.join(items)
            + self.one_of(["", ",\n"])
            + "]"
        )

    def pairs(self, names: list[str]) -> None:
        for name in names:
            self.text += self.one_of(["", "", "\n", "# note\n", "  \t"])
            gap = self.one_of([" = ", "=", "\t=  "])
            self.text += f"{name}{gap}{self.value(2)}{self.one_of(COMMENTS)}\n"

    def names(self) -> list[str]:
        """Distinct keys, some of them dotted below a first part of their own."""
        picked = self.draw(st.lists(st.sampled_from(KEYS), unique=True, max_size=3))
        dotted = [f"dotted{self.one_of(['.', ' . '])}{name}" for name in picked[1:]]
        return [*picked[:1], *dotted]


@st.composite
def texts(draw: st.DrawFn) -> str:
    writer = Writer(draw)
    writer.pairs(writer.names())
    for table in draw(st.lists(st.sampled_from(["x", "y . z", '"x y"']), unique=True)):
        writer.text += f"{writer.one_of(['', '  '])}[ {table} ]{writer.one_of(COMMENTS)}\n"
        writer.pairs(writer.names())
    for _ in range(draw(st.integers(0, 3))):
        writer.text += "[[list.of]]\n"
        writer.pairs(writer.names())
        if draw(st.booleans()):
            writer.text += "[list.of.inner] # below the last\n"
            writer.pairs(writer.names())
        for _ in range(draw(st.integers(0, 2))):
            writer.text += "[[list.of.more]]\n"
            writer.pairs(writer.names())
    return writer.text if draw(st.booleans()) else writer.text.rstrip("\n")


def scalars(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from scalars(item, (*path, key))
    else:
        yield path, value


def numbers(value: Any) -> list[str]:
    """How the number that `Writer` gave a value may be written in the text."""
    if isinstance(value, datetime):
        return [str(value.microsecond)[:3]]
    if isinstance(value, int):
        return [str(value), f"0x{value:x}"]
    return re.findall(r"\d{3}", str(value))[:1]


@settings(max_examples=300, deadline=None)
@given(text=texts())
def test_every_value_is_found_on_its_line(text: str) -> None:
    parsed, found = tomllib.loads(text), layout(text)
    for path, value in scalars(parsed):
        first = found.lines[path]
        following = min((line for line in found.lines.values() if line > first), default=None)
        lines = "\n".join(text.split("\n")[first - 1 : following])
        assert any(number in lines for number in numbers(value)), path
    assert {path for path, _ in scalars(parsed)} <= set(found.lines)
    assert all(_is_in(parsed, path) for path in found.lines)


def _is_in(parsed: Any, path: Path) -> bool:
    for part in path:
        parsed = parsed[part]
    return True


def test_lines_of_every_kind_of_place() -> None:
    text = """\
top = 1
[model]  # table
base = "x"
# comment [not.a.table]
[data]
source = [
  { path = "a", weight = 1 },

  { path = '''b
[[train]]''' },
]
text = \"\"\"
epochs = 3
\"\"\"
[[train]]
name = "one"
[train.adapter]
rank = 4
[[train]]
adapter.rank = 8
"quoted key" = 1
"""
    lines = layout(text).lines
    expected = {
        ("top",): 1,
        ("model",): 2,
        ("model", "base"): 3,
        ("data",): 5,
        ("data", "source"): 6,
        ("data", "source", 0): 7,
        ("data", "source", 0, "path"): 7,
        ("data", "source", 1, "path"): 9,
        ("data", "text"): 12,
        ("train",): 15,
        ("train", 0): 15,
        ("train", 0, "name"): 16,
        ("train", 0, "adapter"): 17,
        ("train", 0, "adapter", "rank"): 18,
        ("train", 1): 19,
        ("train", 1, "adapter", "rank"): 20,
        ("train", 1, "quoted key"): 21,
    }
    assert {path: lines[path] for path in expected} == expected


def test_an_absent_key_is_placed_at_the_table_around_it() -> None:
    found = layout("\n[[train]]\nname = 'a'\n")
    assert found.line(("train", 0, "adapter", "rank")) == 2
    assert found.line(("export", "formats")) is None


VALUES = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(value=VALUES)
def test_a_value_written_in_toml_reads_back_the_same(value: Any) -> None:
    read = parse_value(toml_value(value))
    assert read == value and type(read) is type(value)


def test_a_second_value_cannot_be_smuggled_in() -> None:
    for text in ("1\nmore = 2", "1\n[table]"):
        try:
            parse_value(text)
        except ValueError:
            continue
        raise AssertionError(text)
