"""Which part of an answer goes to the checker."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.checkers.answer_text import extract, first_code_block

BLOCKS = {
    "plain": ("Here:\n```blop\na\n  b\n```\nDone.", "a\n  b\n"),
    "first of two": ("```\none\n```\n```\ntwo\n```\n", "one\n"),
    "tildes": ("~~~\n```\n~~~\n", "```\n"),
    "longer fence": ("````md\n```\ninner\n```\n````\n", "```\ninner\n```\n"),
    "closed by a longer one": ("```\na\n`````\nb", "a\n"),
    "open to the end": ("text\n```python\nx = 1\n", "x = 1\n"),
    "indented": ("  ```\n  a\n    b\n  ```\n", "a\n  b\n"),
    "empty": ("```\n```\nx", ""),
    "windows": ("```\r\na\r\n```\r\n", "a\r\n"),
    "not a closing fence": ("```\na\n```js\nb\n```\n", "a\n```js\nb\n"),
    "inline code is none": ("```x``` and `y`", None),
    "four spaces are code already": ("    ```\na", None),
    "none": ("just words", None),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_the_first_code_block(name: str) -> None:
    answer, expected = BLOCKS[name]
    assert first_code_block(answer) == expected
    assert extract(answer, "all") == answer
    assert extract(answer, "code-block") == (expected or "")
    assert extract(answer, "code-block-or-all") == (answer if expected is None else expected)


@given(st.text())
def test_what_is_fenced_comes_out_again(code: str) -> None:
    fence = "`" * (3 + code.count("`"))
    lines = [line for line in code.splitlines() if line.strip()]
    text = "".join(f"{line}\n" for line in lines)
    assert first_code_block(f"Sure.\n{fence}x\n{text}{fence}\nBye") == text
