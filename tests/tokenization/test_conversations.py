"""The mask: only the assistant's words and the stop token, in every style, proved by decoding."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dataset.helpers import (
    REFUSES_SYSTEM,
    STYLES,
    byte_level,
    chat,
    sentencepiece_like,
    stop_id,
    template,
)
from workbench.dataset.rows import Fault, Message, Place, Row
from workbench.tokenization.chat_template import ChatTemplate
from workbench.tokenization.conversations import encode_row, split_by_turn
from workbench.tokenization.sequences import TrainingSequence
from workbench.tokenization.tokenizer import BackendTokenizer

LONG = 100_000
REWRITES = ("qwen",)
ONE_PASS = [style for style in STYLES if style not in REWRITES]
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=30)


def encode(
    row: Row, style: str, tokenizer: BackendTokenizer, length: int = LONG
) -> TrainingSequence:
    found = encode_row(row, template(style), tokenizer, length, (stop_id(style, tokenizer),))
    assert isinstance(found, TrainingSequence), str(found)
    return found


def learnt_runs(encoded: TrainingSequence, tokenizer: BackendTokenizer) -> list[str]:
    """The decoded text of every unbroken run of learnt tokens."""
    runs: list[list[int]] = [[]]
    for number, learnt in zip(encoded.ids, encoded.trained, strict=True):
        if learnt:
            runs[-1].append(number)
        elif runs[-1]:
            runs.append([])
    return [tokenizer.decode(run) for run in runs if run]


@pytest.mark.parametrize("style", ONE_PASS)
@pytest.mark.parametrize("tokenizer", [byte_level(), sentencepiece_like()], ids=["bytes", "sp"])
def test_learnt_tokens_are_the_answers_and_their_stop(
    style: str, tokenizer: BackendTokenizer
) -> None:
    answers = ["def UserList(attributes) {\n  <ul>\n}", "größer – ✓ 日本語 🦊"]
    system = "" if style in REFUSES_SYSTEM else "ZYXSYSTEM"
    row = chat("ZYXUSER1 list", answers[0], "ZYXUSER2 größer", answers[1], system=system)
    encoded = encode(row, style, tokenizer)
    runs = learnt_runs(encoded, tokenizer)
    stop = STYLES[style][3]
    assert [run.lstrip() for run in runs] == [answer + stop for answer in answers]
    assert "ZYX" not in "".join(runs)
    assert tokenizer.decode(encoded.ids).count("ZYX") == 2 + bool(system)


@pytest.mark.parametrize("style", ONE_PASS)
@settings(max_examples=25, deadline=None)
@given(turns=st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=3))
def test_no_word_of_another_role_is_ever_learnt(style: str, turns: list[tuple[str, str]]) -> None:
    tokenizer = byte_level()
    contents = [
        part.strip()
        for number, (user, answer) in enumerate(turns)
        for part in (f"QQ{number}{user}QQ", f"AA{number}{answer}AA")
    ]
    encoded = encode(chat(*contents), style, tokenizer)
    runs = learnt_runs(encoded, tokenizer)
    wanted = [content + STYLES[style][3] for content in contents[1::2]]
    assert [run.lstrip() for run in runs] == wanted


def test_what_follows_the_stop_token_is_not_learnt() -> None:
    tokenizer = byte_level()
    encoded = encode(chat("a", "b"), "chatml", tokenizer)
    assert tokenizer.decode(encoded.ids).endswith("b<|im_end|>\n")
    assert encoded.ids[-2] == stop_id("chatml", tokenizer)
    assert list(encoded.trained[-2:]) == [1, 0]


def test_train_flags_choose_the_turns() -> None:
    tokenizer = byte_level()
    row = chat("one", "first", "two", "second", "three", "third")
    messages = tuple(replace(m, train=m.content != "second") for m in row.messages)
    runs = learnt_runs(encode(replace(row, messages=messages), "chatml", tokenizer), tokenizer)
    assert runs == ["first<|im_end|>", "third<|im_end|>"]


def test_messages_after_the_last_learnt_one_are_left_out() -> None:
    tokenizer = byte_level()
    row = chat("one", "first", "two", "second")
    messages = tuple(replace(m, train=m.content != "second") for m in row.messages)
    text = tokenizer.decode(encode(replace(row, messages=messages), "chatml", tokenizer).ids)
    assert "first" in text and "two" not in text


def test_a_row_with_nothing_to_learn_is_a_fault() -> None:
    row = replace(chat("a", "b"), messages=(Message("user", "a"), Message("assistant", "b", False)))
    found = encode_row(row, template("chatml"), byte_level(), LONG, (6,))
    assert isinstance(found, Fault) and found.code == "nothing-trained"


@pytest.mark.parametrize("style", ["gemma", "llama3", "mistral", "phi"])
def test_bos_stands_once_whoever_writes_it(style: str) -> None:
    bos = STYLES[style][1]
    tokenizer = byte_level(bos)
    assert tokenizer.bos_id == tokenizer.special_tokens[bos]
    ids = encode(chat("a", "b"), style, tokenizer).ids
    assert ids.count(tokenizer.bos_id) == 1 and ids[0] == tokenizer.bos_id


def test_bos_is_added_where_the_model_wants_it_and_the_template_has_none() -> None:
    tokenizer = byte_level("<bos>")
    encoded = encode(chat("a", "b"), "chatml", tokenizer)
    assert encoded.ids[0] == tokenizer.bos_id and encoded.trained[0] == 0
    assert learnt_runs(encoded, tokenizer) == ["b<|im_end|>"]


def test_a_stop_token_typed_by_a_user_ends_no_turn() -> None:
    tokenizer = byte_level()
    stop = stop_id("chatml", tokenizer)
    row = chat("say <|im_end|> and <|im_start|>system", "it is <|im_end|>, so")
    encoded = encode(row, "chatml", tokenizer)
    assert encoded.special_in_text
    assert encoded.ids.count(stop) == 2
    assert learnt_runs(encoded, tokenizer) == ["it is <|im_end|>, so<|im_end|>"]
    plain = tokenizer.encode("say <|im_end|> and")[0]
    assert stop in plain, "the control: tokenized in one go, the name is one token"


def test_a_template_whose_turn_does_not_stop_is_refused() -> None:
    source = "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"
    source += "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    found = encode_row(chat("a", "b"), ChatTemplate(source), byte_level(), LONG, (6,))
    assert isinstance(found, Fault) and found.code == "no-stop"


def test_a_template_that_leaves_its_generation_prompt_is_refused() -> None:
    source = "{% for m in messages %}{{ m.role + m.content + '<|im_end|>' }}{% endfor %}"
    source += "{% if add_generation_prompt %}{{ 'assistant says' }}{% endif %}"
    found = encode_row(chat("a", "b"), ChatTemplate(source), byte_level(), LONG, (6,))
    assert isinstance(found, Fault) and found.code == "prefix"
    assert str(found).startswith(
        "data.jsonl:1: the template does not continue its generation prompt"
    )


def test_a_template_that_refuses_a_role_names_the_row() -> None:
    row = chat("a", "b", system="be good", place=Place("rows.jsonl", 7))
    found = encode_row(row, template("gemma"), byte_level(), LONG, (8,))
    assert str(found) == "rows.jsonl:7: System role not supported"


def test_a_template_that_rewrites_past_turns_is_trained_turn_by_turn() -> None:
    tokenizer = byte_level()
    row = chat("one", "first", "two", "second")
    stop = (stop_id("qwen", tokenizer),)
    whole = encode_row(row, template("qwen"), tokenizer, LONG, stop)
    assert isinstance(whole, Fault) and whole.code == "rewrites"
    parts = [encode(part, "qwen", tokenizer) for part in split_by_turn(row)]
    think = "<think>\n\n</think>\n\n"
    runs = [learnt_runs(part, tokenizer) for part in parts]
    assert runs == [[f"{think}first<|im_end|>"], [f"{think}second<|im_end|>"]]
    assert think + "first" not in tokenizer.decode(parts[1].ids)


def test_a_token_across_the_seam_is_masked_by_characters_and_counted() -> None:
    source = (
        "{% for m in messages %}{{ ' us' if m.role == 'assistant' }}{{ m.content + '<|im_end|>' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ ' us' }}{% endif %}"
    )
    tokenizer, seam = byte_level(), ChatTemplate(source)
    assert len(tokenizer.encode(" user")[0]) == 1, "the token that will span the seam"
    encoded = encode_row(chat("a", "er in list"), seam, tokenizer, LONG, (6,))
    assert isinstance(encoded, TrainingSequence) and encoded.retokenized
    assert learnt_runs(encoded, tokenizer) == [" in list<|im_end|>"]
    kept = encode_row(chat("a", " in list"), seam, tokenizer, LONG, (6,))
    assert isinstance(kept, TrainingSequence) and not kept.retokenized


def test_a_cut_row_says_what_it_lost() -> None:
    tokenizer = byte_level()
    whole = encode(chat("a", "b c d e f"), "chatml", tokenizer)
    n = len(whole.ids)
    assert not whole.cut and whole.length == n
    only_newline = encode(chat("a", "b c d e f"), "chatml", tokenizer, n - 1)
    assert only_newline.cut and not only_newline.lost_stop
    without_stop = encode(chat("a", "b c d e f"), "chatml", tokenizer, n - 2)
    assert without_stop.lost_stop and without_stop.n_trained and without_stop.length == n
    assert encode(chat("a", "b c d e f"), "chatml", tokenizer, 4).n_trained == 0
