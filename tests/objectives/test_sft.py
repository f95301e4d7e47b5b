"""Supervised fine-tuning: the assistant's tokens are trained, and prompts are conversations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.dataset.helpers import byte_level, chat, stop_id, template
from workbench.dataset.rows import Message, Place, Row
from workbench.objectives.base import SampleRows
from workbench.objectives.sft import SFT
from workbench.tokenization.encoder import Encoder
from workbench.tokenization.sequences import TrainingSequence

TOKENIZER = byte_level()


def no_rows() -> list[Row]:
    raise AssertionError("these rows are not asked for")


def shown(rows: SampleRows, count: int = 9) -> list[tuple[str, str]]:
    """(what a person reads, what the model gets) of each prompt."""
    found = SFT.sample_prompts(rows, TOKENIZER, lambda: template("chatml"), count)
    return [(prompt.text, TOKENIZER.decode(list(prompt.ids))) for prompt in found]


def test_its_encoding_trains_the_assistant_s_tokens_alone() -> None:
    stops = (stop_id("chatml", TOKENIZER),)
    encoder = Encoder(SFT.encoding(), TOKENIZER, template("chatml"), 200, stops)
    (found,) = encoder.encode([chat("a question", "an answer")])
    (part,) = found.parts
    assert isinstance(part, TrainingSequence)
    trained = [i for i, on in zip(part.ids, part.trained, strict=True) if on]
    assert TOKENIZER.decode(trained) == "an answer<|im_end|>"
    with pytest.raises(AssertionError, match="conversations need a template"):
        list(replace(encoder, template=None).encode([chat("a", "b")]))


def test_held_out_conversations_are_prompted_up_to_their_last_response() -> None:
    rows = SampleRows(None, lambda: [chat("one", "two", "three", "four")], no_rows, "ignored")
    ((text, ids),) = shown(rows)
    assert text == "three" and ids.startswith("<|im_start|>user\none<|im_end|>")
    assert ids.endswith("three<|im_end|>\n<|im_start|>assistant\n") and "four" not in ids


def test_every_category_comes_before_a_second_row_of_one() -> None:
    named = [("a", "1"), ("a", "2"), ("b", "3"), ("a", "4"), ("c", "5")]
    held_out = [replace(chat(text, "x"), category=category) for category, text in named]
    rows = SampleRows(None, lambda: held_out, no_rows)
    assert [text for text, _ in shown(rows)] == ["1", "3", "5", "2", "4"]
    assert [text for text, _ in shown(rows, count=2)] == ["1", "3"]


def test_prompts_of_the_preset_are_texts_or_conversations_under_its_system_prompt() -> None:
    text = Row(Place("watch.prompts", 0), text="Say <|im_end|>.")
    talk = Row(Place("a", 1), (Message("system", "Own."), Message("user", "who")))
    first, second = shown(SampleRows([text, talk], no_rows, no_rows, "Be kind."))
    assert first[0] == "Say <|im_end|>." and "system\nBe kind.<|im_end|>" in first[1]
    assert second[0] == "who" and "system\nOwn." in second[1] and "Be kind" not in second[1]
    (prompt, _) = SFT.sample_prompts(
        SampleRows([text, talk], no_rows, no_rows), TOKENIZER, lambda: template("chatml"), 9
    )
    assert list(prompt.ids).count(stop_id("chatml", TOKENIZER)) == 1, "the template's own end"
