"""Pitfalls 1, 2, 4, 5 and 10: what the rows become before anything is trained."""

from __future__ import annotations

import pytest
import torch

from tests.dataset.helpers import (
    REFUSES_SYSTEM,
    STYLES,
    byte_level,
    chat,
    encode_rows,
    stop_id,
    template,
)
from tests.pipeline.training.helpers import stage_settings
from tests.pipeline.training.pitfalls.families import ROWS, Home
from workbench.core.sampling import SamplingParams
from workbench.dataset.rows import Message, Place, Row
from workbench.objectives.base import SamplePrompt
from workbench.pipeline.training.sample_generation import (
    Sample,
    SampleSettings,
    generate_samples,
)
from workbench.pipeline.training.token_dataset import collate
from workbench.tokenization.chat_template import ChatTemplate
from workbench.tokenization.conversations import encode_prompt, encode_row
from workbench.tokenization.sequences import TrainingSequence

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

CPU = torch.device("cpu")


@pytest.mark.parametrize("packing", [False, True])
def test_01_padding_that_is_the_stop_token_leaves_the_stop_learnt(
    home: Home, packing: bool
) -> None:
    assert home.tokenizer.pad_token_id == home.stop, "as with a tokenizer that pads with its end"
    examples = home.examples(ROWS)
    turns = sum(message.role == "assistant" for row in ROWS for message in row.messages)
    batch = collate(examples, range(len(ROWS)), packing=packing, pad_id=home.stop, device=CPU)
    assert int((batch.targets == home.stop).sum()) == turns
    assert batch.trained_tokens == int(examples.targets.sum()), "and no padding beside them"
    width = batch.input_ids.shape[1]
    for line in range(len(ROWS)):
        alone = collate(examples, [line], packing=packing, pad_id=home.stop, device=CPU)
        assert int(alone.targets[-1]) == home.stop
        if not packing:
            own = batch.selected[(batch.selected // width) == line] % width
            assert int(own.max()) < int(examples.lengths[line]) - 1, "nothing predicts padding"


@pytest.mark.parametrize("style", [style for style in STYLES if style != "qwen"])
def test_02_every_turn_of_every_style_learns_its_stop(style: str) -> None:
    tokenizer = byte_level()
    stop = stop_id(style, tokenizer)
    (found,) = encode_rows(
        ROWS[:1], template(style), tokenizer, sequence_length=400, stop_ids=(stop,)
    ).sequences
    learnt = [i for i, trained in zip(found.ids, found.trained, strict=True) if trained]
    assert learnt.count(stop) == 2 and learnt[-1] == stop


def test_02_a_model_that_learnt_its_answer_stops_there(home: Home) -> None:
    asked, said = "Show a name", "<p>name</p>"
    home.learn([chat(asked, said)])
    stage = stage_settings(
        max_steps=120,
        batch_size=1,
        learning_rate=1e-2,
        evaluate_every=0.0,
        save_every=0.0,
        adapter={"dropout": 0.0},
    )
    home.train(settings=stage)
    prompt = encode_prompt([Message("user", asked)], home.template, home.backend)
    asking = SampleSettings(
        SamplingParams(temperature=0.0, max_tokens=40),
        lambda ids: str(home.tokenizer.decode(ids)),
        stop_ids=[home.stop],
        pad_id=home.stop,
    )
    model = home.model(home.adapter().parent)
    assert generate_samples(model, [SamplePrompt(asked, prompt)], asking) == [
        Sample(said, stopped=True)
    ]


SENTINELS = {"system": "ZSYS", "user": "ZUSR", "tool": "ZTOOL"}


def conversation(style: str) -> Row:
    """Two turns, every other role marked by a word of its own; unicode and an odd beginning."""
    system = () if style in REFUSES_SYSTEM else (Message("system", "ZSYS\tbe brief"),)
    return Row(
        ROWS[0].place,
        (
            *system,
            Message("user", "ZUSR größer – ✓ 日本語"),
            Message("assistant", "AONE 🦊 ja"),
            Message("user", "\n ZUSR again "),
            Message("assistant", "ATWO <b>"),
        ),
    )


@pytest.mark.parametrize("style", STYLES)
def test_04_nothing_but_the_answers_is_learnt(style: str) -> None:
    """`qwen` rewrites past turns, so each is a sequence of its own; `gemma` has no system role."""
    tokenizer = byte_level()
    stop = STYLES[style][3]
    found = encode_rows(
        [conversation(style)],
        template(style),
        tokenizer,
        sequence_length=1000,
        stop_ids=(tokenizer.special_tokens[stop],),
    ).sequences
    told = "".join(learnt(one, tokenizer) for one in found)
    assert not any(word in told for word in SENTINELS.values()), told
    plain = told.replace("<think>\n\n</think>\n\n", "")
    assert plain.replace(" A", "A") == f"AONE 🦊 ja{stop}ATWO <b>{stop}"
    assert sum(tokenizer.decode(one.ids).count("ZUSR") for one in found) >= 2, "the control"


def test_04_a_tools_answer_and_an_empty_system_message_are_not_learnt() -> None:
    tokenizer, stop = byte_level(), stop_id("qwen3", byte_level())
    messages = (
        Message("system", ""),
        Message("user", "ZUSR"),
        Message("assistant", "ACALL"),
        Message("tool", "ZTOOL"),
        Message("assistant", "ADONE"),
    )
    row = Row(ROWS[0].place, messages)
    found = encode_row(row, template("qwen3"), tokenizer, 1000, (stop,))
    assert isinstance(found, TrainingSequence)
    assert learnt(found, tokenizer) == "ACALL<|im_end|>ADONE<|im_end|>"


def learnt(encoded: TrainingSequence, tokenizer: object) -> str:
    kept = [i for i, trained in zip(encoded.ids, encoded.trained, strict=True) if trained]
    return str(tokenizer.decode(kept))


def test_05_the_ids_of_a_prompt_begin_the_ids_of_its_row(home: Home) -> None:
    """So training sees what inference will: at every turn of every row."""
    seen = 0
    for row, encoded in zip(ROWS, home.encode(ROWS), strict=True):
        assert not encoded.retokenized
        for turn in [n for n, message in enumerate(row.messages) if message.role == "assistant"]:
            prompt = encode_prompt(row.messages[:turn], home.template, home.backend)
            assert encoded.ids[: len(prompt)].tolist() == prompt
            assert encoded.trained[len(prompt)] and not encoded.trained[len(prompt) - 1]
            seen += 1
    assert seen == 8


def test_05_line_ends_that_would_merge_are_found() -> None:
    """Llama 3's header before an answer, in a tokenizer that splits words as GPT-2's does."""
    tokenizer, stop = byte_level(), stop_id("llama3", byte_level())
    found = encode_row(ROWS[0], template("llama3"), tokenizer, 400, (stop,))
    assert isinstance(found, TrainingSequence) and found.retokenized


def test_05_a_token_across_the_seam_is_masked_by_characters_and_counted() -> None:
    source = (
        "{% for m in messages %}{{ ' us' if m.role == 'assistant' }}{{ m.content + '<|im_end|>' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ ' us' }}{% endif %}"
    )
    tokenizer = byte_level()
    found = encode_rows(
        [chat("a", "er in list"), chat("a", " in list")],
        ChatTemplate(source),
        tokenizer,
        sequence_length=100,
        stop_ids=(tokenizer.special_tokens["<|im_end|>"],),
    )
    assert [one.retokenized for one in found.sequences] == [True, False]
    assert learnt(found.sequences[0], tokenizer) == " in list<|im_end|>"


def test_10_no_answer_is_cut_unless_asked_and_all_are_counted(home: Home) -> None:
    fox, write = "The quick brown fox jumps over the lazy dog; ", "Write a component that shows. "
    long = chat("q", fox * 20, place=Place("a.jsonl", 1))
    never = chat(write * 20, "y", place=Place("a.jsonl", 2))  # its prompt alone is too long
    rows, length = [*ROWS, long, never], 130
    for on_cut in ("drop", "cut"):
        found = encode_rows(
            rows,
            home.template,
            home.backend,
            sequence_length=length,
            stop_ids=(home.stop,),
            on_cut=on_cut,
        )
        ledger = found.ledger
        assert (ledger.cut.count, ledger.lost_stop.count, ledger.lost_all.count) == (2, 2, 1)
        kept = [encoded.ids[-1] for encoded in found.sequences if not encoded.lost_stop]
        assert len(kept) == len(ROWS) and all(encoded.n_trained for encoded in found.sequences)
        assert len(found.sequences) == len(ROWS) + (on_cut == "cut")
        assert all(home.stop in one.ids for one in found.sequences if not one.lost_stop)
    saved = encode_rows(
        rows,
        home.template,
        home.backend,
        sequence_length=ledger.saving_length,
        stop_ids=(home.stop,),
    )
    assert saved.ledger.cut.count == 0 and len(saved.sequences) == len(rows)
