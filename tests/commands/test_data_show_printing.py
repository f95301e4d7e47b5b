"""A row's tokens in a terminal: the mask seen with colours and without, nothing that escapes."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from workbench.commands.data_show import CUT, lines, to_json
from workbench.dataset.rows import Place, Row
from workbench.tokenization.preview import PreviewToken, RowPreview

ROW = Row(Place("d.jsonl", 7), text="x")
PIECES = (
    PreviewToken("<|user|>", (1,), False, True, False),
    PreviewToken("ask\n", (2,), False, False, False),
    PreviewToken("say", (3,), True, False, False),
    PreviewToken("ü", (4, 5), True, False, False),
    PreviewToken("<|end|>", (6,), True, True, True),
)
SHOWN = RowPreview(PIECES, 6, 4, 5, ("cut",))


def test_learnt_tokens_stand_in_brackets_without_colours() -> None:
    text = "\n".join(lines(ROW, SHOWN, "p", colour=False))
    assert "d.jsonl:7: 6 of 5 tokens, 4 trained, for preset p\n! cut\n" in text
    assert f"<|user|>ask↵\n⟦sayü⟧\n{CUT}\n<|end|>\n" in text
    table = text.splitlines()[-6:]
    assert [line.split()[1] for line in table] == ["1", "2", "3", "4", "5", "6"]
    assert [line.split()[2] for line in table] == [
        "-",
        "-",
        "trained",
        "trained",
        "trained",
        "trained",
    ]
    assert table[3].endswith("…") and table[4].endswith('"ü"') and "special cut" in table[5]


def test_colours_end_with_every_line() -> None:
    for line in lines(ROW, SHOWN, "p", colour=True):
        assert line.count("\x1b[0m") == len(re.findall(r"\x1b\[[1-9]", line))
        assert "\x1b" not in line or line.endswith("\x1b[0m")


@given(st.text(max_size=40), st.booleans())
def test_nothing_of_the_data_escapes(text: str, colour: bool) -> None:
    pieces = (
        PreviewToken(text, (1,), True, False, False),
        PreviewToken(text, (2,), False, True, True),
    )
    row = Row(Place(text + "\x1b", 1), text="x")
    printed = "\n".join(lines(row, RowPreview(pieces, 2, 1, 1, (text,)), text, colour))
    ours = re.sub(r"\x1b\[[0-9;]+m", "", printed)
    assert all(char.isprintable() or char in "\n\t" for char in ours)


def test_the_same_as_plain_values() -> None:
    value = to_json(ROW, SHOWN, "p")
    assert value["line"] == 7 and value["sequence_length"] == 5
    assert value["pieces"][3] == {
        "ids": [4, 5],
        "text": "ü",
        "trained": True,
        "special": False,
        "cut": False,
    }
