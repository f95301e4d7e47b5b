"""Names of control tokens are cut wherever they stand, one within another too."""

from __future__ import annotations

import re

from workbench.core.text import special_pattern
from workbench.dataset.rows import Message, Place, Row
from workbench.tokenization.control_tokens import mark_control_tokens, unused_mark

HERE = Place("f", 1)


def test_the_longest_goes_first_and_none_is_left() -> None:
    pattern = special_pattern(["<|im_end|>", "|>"])
    row, mark = mark_control_tokens(Row(HERE, (Message("user", "x<|im_end|>y"),)), pattern)
    assert row.messages[0].content == f"x<{mark}|im_end|{mark}>y"


def test_tools_and_calls_are_treated_as_content_is() -> None:
    call = {"function": {"name": "f", "arguments": {"<s>": ["<s>", 1]}}}
    said = (Message("assistant", "", reasoning="<s>", tool_calls=(call,)),)
    row, mark = mark_control_tokens(Row(HERE, said, tools=({"about": "<s>"},)), re.compile("<s>"))
    cut = f"<{mark}s>"
    assert row.messages[0].reasoning == cut and row.tools == ({"about": cut},)
    assert row.messages[0].tool_calls[0]["function"]["arguments"] == {cut: [cut, 1]}


def test_without_a_name_the_row_is_as_it_was() -> None:
    row = Row(HERE, (Message("user", "x"),))
    assert mark_control_tokens(row, re.compile("<s>")) == (row, "")
    assert mark_control_tokens(row, None) == (row, "")


def test_the_mark_stands_nowhere_in_the_texts() -> None:
    assert unused_mark(["\ue0000\ue001"]) == "\ue0001\ue001"
