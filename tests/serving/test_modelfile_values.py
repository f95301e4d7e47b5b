"""Values of a Modelfile by Ollama's rules; the expectations were had from its own parser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.serving.modelfile_values import dropped, is_kept, name_of, quoted, value_at

TEXT = st.text(st.sampled_from('" \n\r\tab#\u00a0\u200dé👩'), max_size=12)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a", '"a"'),
        ("a\\n", '"a\\n"'),
        ("a\nb", '"""a\nb"""'),
        ('a"b', '"""a"b"""'),
        ('a"', '"""a""""'),
        ('a"""b', '"""a"""b"""'),
        ('a"""\nb', None),
        ('a""" \t\r', None),
        ('a"""\u200d\nb', None),
        ("a\0", None),
    ],
)
def test_quotes_are_those_of_ollama(text: str, value: str | None) -> None:
    assert quoted(text) == value


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("abc  \nSYSTEM x", ("abc", 5)),
        ('"a" b"\nx', ('a" b', 6)),
        ('"a\nb" \nx', ("a\nb", 6)),
        ('  """"""\n', ("", 8)),
        ('"""a"\nb"', None),
        ('"a', None),
    ],
)
def test_a_value_ends_where_its_quotes_are_closed_before_a_line_break(
    text: str, found: tuple[str, int] | None
) -> None:
    assert value_at(text, 0) == found


@given(TEXT)
def test_what_can_be_quoted_is_read_back(text: str) -> None:
    value = quoted(text)
    if value is not None:
        assert value_at(value + "\nPARAMETER seed 1\n", 0) == (text, len(value))
    elif "\0" not in text:
        assert '"""' in "".join(filter(is_kept, text))


def test_what_ollama_create_drops() -> None:
    kept = "é漢👩️！▁｜é\ttab\nline\r -~"
    assert dropped(kept) == {}
    lost = ["\u00a0", "\u200b", "\u200d", "\u200e", "\u00ad", "\u3000", "\ufeff", "\ue000", "\x07"]
    assert list(dropped("a".join(lost))) == lost
    assert dropped("\u00a0x\u00a0") == {"\u00a0": 2}
    assert name_of("\u00a0") == "U+00A0 NO-BREAK SPACE" and name_of("\x07") == "U+0007"
