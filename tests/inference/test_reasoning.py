"""An empty reasoning block is not shown; one with reasoning, and any other text, is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.inference.reasoning import shown, without_empty_reasoning

PIECES = st.lists(st.sampled_from(["<think>", "</think>", "<", "think>", "\n", " ", "a", "</"]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>\n\n</think>\n\nYes.", "Yes."),
        ("\n<think></think>Yes. <think></think>", "Yes. <think></think>"),
        ("<think>\nhm\n</think>\n\nYes.", "<think>\nhm\n</think>\n\nYes."),
        ("  Yes.", "  Yes."),
        ("<think>", "<think>"),
        ("<thinking></thinking>", "<thinking></thinking>"),
        ("<think>\n</think>\n", ""),
        ("\n", "\n"),
        ("", ""),
    ],
)
def test_only_an_empty_block_at_the_beginning_goes(text: str, expected: str) -> None:
    assert without_empty_reasoning(text) == expected
    assert "".join(shown(text)) == expected


@given(PIECES)
def test_pieces_give_what_the_whole_text_gives(pieces: list[str]) -> None:
    assert "".join(shown(pieces)) == without_empty_reasoning("".join(pieces))


def test_a_piece_that_cannot_belong_to_a_block_is_not_held_back() -> None:
    said = iter(["Ye", "s", " <", "think>"])
    found = shown(said)
    assert next(found) == "Ye" and next(found) == "s" and next(said) == " <"
