"""Answers over time as lines: order, what is new in them, and widths."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from workbench.run.events import Sampled
from workbench.tui.panes.train.training_text import NEW, answer_lines, broken, changed, prompts_of


def sample(step: int, answer: str, prompt: str = "What?", stopped: bool = True) -> Sampled:
    return Sampled(step=step, prompt=prompt, answer=answer, stopped=stopped)


TOLD = [
    sample(0, "I do not know"),
    sample(0, "hm", "Who?"),
    sample(10, "a red house"),
    sample(10, "me", "Who?"),
    sample(20, "a red house"),
    sample(30, "a blue house", stopped=False),
]


def plain(chosen: int, width: int) -> list[str]:
    return [line.plain.rstrip() for line in answer_lines(TOLD, chosen, width)]


def test_all_prompts_show_the_newest_answer_and_the_base() -> None:
    assert prompts_of(TOLD) == ["What?", "Who?"]
    assert plain(-1, 60) == [
        " › What?",
        "   step 30",
        "     a blue house",
        "     … (token limit reached)",
        "   before training",
        "     I do not know",
        " › Who?",
        "   step 10",
        "     me",
        "   before training",
        "     hm",
    ]


def test_with_room_the_two_stand_side_by_side() -> None:
    lines = plain(-1, 100)
    assert lines[1] == "   step 30".ljust(50) + "   before training"
    assert lines[2] == "     a blue house".ljust(50) + "     I do not know"
    assert max(map(len, lines)) <= 100


def test_one_prompt_shows_every_answer_once_the_newest_first() -> None:
    lines = plain(0, 100)
    heads = [line.strip() for line in lines if line.startswith("   ") and line[3] != " "]
    assert heads == ["step 30", "step 10 to 20", "before training"]


def test_what_is_new_since_the_answer_before_is_bright() -> None:
    line = next(one for one in answer_lines(TOLD, 0, 60) if "blue" in one.plain)
    bright = [line.plain[span.start : span.end] for span in line.spans if span.style == NEW]
    assert bright == ["blue"]


def test_only_the_base_so_far() -> None:
    assert [line.plain for line in answer_lines(TOLD[:1], -1, 100)][1:] == [
        "   before training",
        "     I do not know",
    ]


def test_nothing_that_an_answer_holds_reaches_the_terminal() -> None:
    hostile = [sample(5, "\x1b]0;owned\x07\tx [bold]\u202e", "\x1b[31m")]
    text = "\n".join(line.plain for line in answer_lines(hostile, -1, 60))
    assert "\x1b" not in text and "\u202e" not in text and "[bold]" in text


def test_changes_are_found_by_the_word() -> None:
    assert changed("a b c", "a x c") == ((2, 3),)
    assert changed("same", "same") == ()
    assert changed("", "new words") == ((0, 9),)


@given(st.text("ab \n漢x", max_size=60), st.integers(2, 9))
def test_broken_rows_are_the_whole_text_and_fit(text: str, width: int) -> None:
    rows = [text[start:end] for start, end in broken(text, width)]
    assert "".join(rows) == text.replace("\n", "")
    assert all(cell_len(row.rstrip(" ")) <= width for row in rows)
