"""Text from outside cannot steer a terminal, and figures read as a person writes them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.text import did_you_mean, duration, one_line, quantity, size, table, visible

HOSTILE = [
    "\x1b[31m",
    "\x1b]0;t\x07",
    "\x9b31m",
    "\u202e",
    "\u2066",
    "\r",
    "\x00",
    "\x7f",
    "\ud800",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_steers_a_terminal_is_written_out(text: str) -> None:
    shown = visible(f"a{text}b")
    assert shown.isprintable() and shown.isascii() and shown[0] == "a" and shown[-1] == "b"


@given(st.text())
def test_visible_text_is_printable_but_for_newline_and_tab(text: str) -> None:
    shown = visible(text)
    assert all(c.isprintable() or c in "\n\t" for c in shown)
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in "\n\t" for c in shown)


@pytest.mark.parametrize("text", ["plain", "süß 日本 ☃", "line\n\tindented", "[bold] is no markup"])
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("\x07", "\\x07"), ("\u202e", "\\u202e"), ("\U000e0041", "\\U000e0041"), ("\xa0", "\\xa0")],
)
def test_escapes_read_as_in_python(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(), st.integers(2, 50))
def test_one_line_is_one_line_of_at_most_the_width(text: str, width: int) -> None:
    line = one_line(text, width)
    assert len(line) <= width and "\n" not in line and "\t" not in line


def test_one_line_says_that_it_was_cut() -> None:
    assert one_line("a  b\n c") == "a b c"
    assert one_line("abcdef", 4) == "abc…"
    assert one_line("abcd", 4) == "abcd"


def test_did_you_mean() -> None:
    assert did_you_mean("runz", ["runs", "stop"]) == "did you mean 'runs'?"
    assert did_you_mean("xyz", ["runs", "attach"]) == "use attach, runs"
    assert did_you_mean("xyz", []) == ""


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0:00"),
        (-5, "0:00"),
        (59.6, "1:00"),
        (75, "1:15"),
        (3675, "1:01:15"),
        (90000, "25:00:00"),
    ],
)
def test_duration(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("n_bytes", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (5 << 20, "5.0 MiB"),
        (3 << 40, "3072.0 GiB"),
    ],
)
def test_size(n_bytes: int, shown: str) -> None:
    assert size(n_bytes) == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1250, "1,250 rows")]
)
def test_quantity(count: int, shown: str) -> None:
    assert quantity(count, "row") == shown


def test_quantity_of_a_hissing_noun() -> None:
    assert [quantity(2, noun) for noun in ("fix", "batch")] == ["2 fixes", "2 batches"]


def test_a_table_is_aligned_cut_and_visible() -> None:
    rows = [("name", "what"), ("x" * 9, "\x1b[31m"), ("y", "")]
    assert table(rows, width=6) == ["name    what", "xxxxx…  \\x1b[31m", "y"]
    assert table([]) == []
