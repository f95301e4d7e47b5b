"""The mask, by properties: whatever is said, by whom and in which template, only trained turns of
the assistant are learnt, each whole, once, and with its stop token."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from tests.dataset.helpers import (
    MARKED,
    REFUSES_SYSTEM,
    SPECIAL,
    STYLES,
    byte_level,
    byte_level_backend,
    metaspace,
    sentencepiece_like,
    stop_id,
    template,
)
from workbench.dataset.rows import ASSISTANT, SYSTEM, TOOL, USER, Fault, Message, Place, Row
from workbench.tokenization import loss_mask
from workbench.tokenization.conversations import encode_row, split_by_turn
from workbench.tokenization.sequences import TrainingSequence
from workbench.tokenization.tokenizer import BackendTokenizer

LONG = 1 << 20
ROLES = (USER, ASSISTANT)
THINKS_AND_CALLS = "qwen3"
THINKS_IN_CONTENT = "deepseek"
TOOLS = ({"type": "function", "function": {"name": "QTOLQ", "parameters": {"x": "<|im_end|>"}}},)
TOKENIZERS = {
    "bytes": byte_level,
    "bytes-with-bos": lambda: byte_level("<s>"),
    "sentencepiece": sentencepiece_like,
    "metaspace-first": metaspace,
    "metaspace-always": lambda: metaspace("always"),
}
WORDS = st.lists(
    st.sampled_from(
        ["a", " b", "\n", "  ", "größer", "日本", "🦊", "ab.", *SPECIAL[2:9], "\u00a0"]
    ),
    max_size=4,
).map("".join)


@st.composite
def rows(draw: st.DrawFn, style: str) -> Row:
    """A conversation in which every text begins with a word of its own: Q, who, number, Q."""
    messages: list[Message] = []

    def say(role: str, who: str, **more: object) -> None:
        content = f"Q{who}{len(messages)}Q{draw(WORDS)}"
        messages.append(Message(role, content, **more))  # type: ignore[arg-type]

    if style not in REFUSES_SYSTEM and draw(st.booleans()):
        say(SYSTEM, "SYS")
    for _ in range(draw(st.integers(1, 3))):
        say(USER, "USR")
        if style == THINKS_AND_CALLS and draw(st.booleans()):
            call = {"function": {"name": "f", "arguments": {"x": f"QCAL{len(messages)}Q</s>"}}}
            say(ASSISTANT, "ASK", train=draw(st.booleans()), tool_calls=(call,))
            say(TOOL, "TOL")
        thinking = style == THINKS_AND_CALLS and draw(st.booleans())
        reasoning = f"QTHI{len(messages)}Q{draw(WORDS)}" if thinking else ""
        say(ASSISTANT, "ANS", train=draw(st.booleans()), reasoning=reasoning)
        if style == THINKS_IN_CONTENT and draw(st.booleans()):
            last = messages.pop()
            messages.append(replace(last, content=f"QTHI{len(messages)}Q</think>{last.content}"))
    if not any(m.train for m in messages if m.role == ASSISTANT):
        messages[-1] = replace(messages[-1], train=True)
    tools = TOOLS if style == THINKS_AND_CALLS and draw(st.booleans()) else ()
    return Row(Place("rows.jsonl", 1), tuple(messages), tools=tools)


def sequences(row: Row, style: str, tokenizer: BackendTokenizer) -> list[TrainingSequence]:
    """The row as training has it: one sequence, or one a turn where the template rewrites."""
    stops = (stop_id(style, tokenizer),)
    found = encode_row(row, template(style), tokenizer, LONG, stops)
    if isinstance(found, Fault) and found.code == "rewrites":
        parts = [encode_row(p, template(style), tokenizer, LONG, stops) for p in split_by_turn(row)]
    else:
        parts = [found]
    assert all(isinstance(part, TrainingSequence) for part in parts), str(parts[0])
    return parts  # type: ignore[return-value]


def learnt(encoded: TrainingSequence) -> list[int]:
    return [i for i, trained in zip(encoded.ids, encoded.trained, strict=True) if trained]


def spoken(row: Row) -> Iterator[tuple[str, bool]]:
    """(the word a text begins with, whether it is to be learnt) of all that is said."""
    for number, message in enumerate(row.messages):
        mine = message.role == ASSISTANT and message.train
        for who in ("SYS", "USR", "ASK", "TOL", "ANS", "CAL"):
            word = f"Q{who}{number}Q"
            if word in message.said:
                yield word, mine


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=30, deadline=None)
@given(data=st.data(), tokenizer=st.sampled_from(list(TOKENIZERS)))
def test_trained_turns_are_learnt_once_with_their_stop_and_nothing_else_is(
    style: str, tokenizer: str, data: st.DataObject
) -> None:
    made, row = TOKENIZERS[tokenizer](), data.draw(rows(style))
    found = sequences(row, style, made)
    told = made.decode([i for part in found for i in learnt(part)])
    last = max(n for n, m in enumerate(row.messages) if m.role == ASSISTANT and m.train)
    for word, mine in spoken(row):
        assert told.count(word) == mine, word
    for number, message in enumerate(row.messages):
        thought, shown = (
            f"QTHI{number}Q",
            any(f"QTHI{number}Q" in made.decode(p.ids) for p in found),
        )
        mine = message.role == ASSISTANT and message.train
        assert told.count(thought) == (mine and shown)
        if number == last and (message.reasoning or thought in message.content):
            assert shown, "the reasoning of the last answer is never dropped"
    n_turns = sum(m.role == ASSISTANT and m.train for m in row.messages)
    stop = stop_id(style, made)
    assert sum(learnt(part).count(stop) for part in found) == n_turns
    source, bos, _, _ = STYLES[style]
    bos_id = made.special_tokens[bos] if bos and "bos_token" in source else made.bos_id
    if bos_id is not None and made.bos_id in (None, bos_id):  # else the model is another's
        assert all(part.ids[0] == bos_id and part.ids.count(bos_id) == 1 for part in found)
        assert all(not part.trained[0] for part in found)


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=20, deadline=None)
@given(data=st.data(), tokenizer=st.sampled_from(list(TOKENIZERS)))
def test_the_quick_way_marks_what_the_slow_one_marks(
    style: str, tokenizer: str, data: st.DataObject
) -> None:
    made, row = TOKENIZERS[tokenizer](), data.draw(rows(style))
    quick = sequences(row, style, made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loss_mask, "_by_anchors", lambda *_: None)
        assert sequences(row, style, made) == quick


def test_the_quick_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test before: else it would compare the slow way with itself."""
    monkeypatch.setattr(loss_mask, "_by_prompts", None)
    messages = (Message(USER, "a"), Message(ASSISTANT, "b"), Message(USER, "c"))
    row = Row(Place("a", 1), (*messages, Message(ASSISTANT, "d")))
    for style in ("chatml", "gemma", "mistral", "zephyr", "phi", "qwen3", "deepseek"):
        assert sequences(row, style, byte_level())


def theirs(style: str, row: Row) -> tuple[list[int], list[int]]:
    """(ids, mask) of transformers."""
    source, bos, eos, _ = STYLES[style]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=byte_level_backend(), chat_template=source, eos_token=eos
    )
    if bos:
        tokenizer.bos_token = bos
    plain = [message.to_template() for message in row.messages]
    made = tokenizer.apply_chat_template(
        plain, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    return list(made["input_ids"]), list(made["assistant_masks"])


# Without control tokens' names: transformers would make tokens of them.
PLAIN = st.text(st.characters(codec="utf-8"), max_size=30).map(
    lambda text: re.sub("[<\\[]", "", f"Q{text}Q")
)


@pytest.mark.parametrize("style", MARKED)
@settings(max_examples=40, deadline=None)
@given(turns=st.lists(st.tuples(PLAIN, PLAIN), min_size=1, max_size=3), system=st.booleans())
def test_ids_and_mask_equal_those_of_transformers(
    style: str, turns: list[tuple[str, str]], system: bool
) -> None:
    said = [Message(role, text) for pair in turns for role, text in zip(ROLES, pair, strict=True)]
    row = Row(Place("a", 1), ((Message(SYSTEM, "Be brief."), *said) if system else tuple(said)))
    (found,) = sequences(row, style, byte_level())
    ids, marked = theirs(style, row)
    # what follows the last stop token stays in the sequence here and there, and is learnt nowhere
    assert (found.ids.tolist(), list(found.trained)) == (ids, marked)


def test_a_tool_s_schema_reaches_the_template_and_no_name_in_it_is_a_token() -> None:
    tokenizer = byte_level()
    row = Row(Place("a", 1), (Message(USER, "a"), Message(ASSISTANT, "b")), tools=TOOLS)
    (found,) = sequences(row, "qwen3", tokenizer)
    text = tokenizer.decode(found.ids)
    assert '"name": "QTOLQ"' in text and '{"x": "<|im_end|>"}' in text
    assert found.special_in_text and found.ids.count(stop_id("qwen3", tokenizer)) == 3
