"""What the lens shows is what training gets, token for token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dataset.helpers import STYLES, byte_level, chat, stop_id, template
from workbench.core.errors import UserError
from workbench.dataset.rows import Message, Place, Row
from workbench.preset.loader import load
from workbench.preset.lookup import embedded_base
from workbench.runner.preview import load_preview, preview_of
from workbench.tokenization.conversations import encode_conversations, encode_row
from workbench.tokenization.preview import MAX_TOKENS, Limit, TokenPreview
from workbench.tokenization.sequences import TrainingSequence


def row_of(prompt: str, answer: str) -> Row:
    return Row(Place("x", 1), (Message("user", prompt), Message("assistant", answer)))


@pytest.fixture(scope="module")
def lens() -> TokenPreview:
    return load_preview("quickstart")


def test_tokens_are_those_of_training(lens: TokenPreview) -> None:
    row = row_of("Ünïcode 🙂 <|im_end|>\n\tx", "def f() { <ul> }\n漢字")
    shown = lens.look(row)
    exact = encode_row(row, lens.template, lens.tokenizer, 10_000, lens.stop_ids)
    assert isinstance(exact, TrainingSequence)
    assert shown.tokens == len(exact.ids) and shown.trained == exact.n_trained
    text = "".join(piece.text for piece in shown.pieces)
    assert text == lens.tokenizer.decode(exact.ids)
    learnt = "".join(piece.text for piece in shown.pieces if piece.trained)
    assert learnt == "def f() { <ul> }\n漢字<|im_end|>"
    specials = [piece.text for piece in shown.pieces if piece.special]
    assert specials == ["<|im_start|>", "<|im_end|>", "<|im_start|>", "<|im_end|>"]
    assert "encoded as plain text" in shown.told[0]


@settings(deadline=None)
@given(st.text(max_size=60), st.text(min_size=1, max_size=60))
def test_no_character_is_lost_between_tokens(lens: TokenPreview, prompt: str, answer: str) -> None:
    try:
        shown = lens.look(row_of(prompt, answer))
    except UserError:
        return
    said = "".join(piece.text for piece in shown.pieces)
    ids = encode_row(row_of(prompt, answer), lens.template, lens.tokenizer, 9999, lens.stop_ids)
    assert said == lens.tokenizer.decode(ids.ids)  # type: ignore[union-attr]


def test_what_the_sequence_length_cuts_is_beyond(lens: TokenPreview) -> None:
    shown = lens.look(row_of("x", "word " * 600))
    beyond = [piece.beyond for piece in shown.pieces]
    assert (
        "tokens over the limit of 512: training drops the row" in shown.told[0]
        and beyond == sorted(beyond)
        and any(beyond)
    )
    text = lens.look(Row(Place("x", 1), text="word " * 600))
    assert "4 sequences of 512 tokens" in text.told[0] and not any(p.beyond for p in text.pieces)


def test_a_row_that_cannot_be_trained_on_says_why(lens: TokenPreview) -> None:
    with pytest.raises(UserError, match="no message of the row"):
        lens.look(Row(Place("x", 1), (Message("user", "only a question"),)))
    assert lens.count(Row(Place("x", 1), (Message("user", "only a question"),))) == 0


def test_the_first_of_very_many_tokens_are_shown(lens: TokenPreview) -> None:
    shown = lens.look(row_of("x", "word " * MAX_TOKENS))
    assert shown.tokens > MAX_TOKENS == sum(len(piece.ids) for piece in shown.pieces)
    assert any(line.startswith(f"the first {MAX_TOKENS:,} of") for line in shown.told)


@pytest.mark.parametrize("style", ["gemma", "llama3", "mistral", "qwen", "phi"])
def test_the_mask_is_that_of_training_in_every_style(style: str) -> None:
    tokenizer = byte_level()
    source, bos, eos, _ = STYLES[style]
    stop = stop_id(style, tokenizer)
    limits = {"chat": Limit(400)}
    encode = {"chat": encode_conversations}
    lens = TokenPreview("p", tokenizer, template(style), (stop,), 0, "", limits, encode)
    row = chat("one question", "first answer", "another", "second answer")
    shown = lens.look(row)
    learnt = "".join(piece.text for piece in shown.pieces if piece.trained)
    assert "second answer" in learnt and "question" not in learnt
    assert "".join(piece.text for piece in shown.pieces) == tokenizer.decode(
        [token for piece in shown.pieces for token in piece.ids]
    )


def test_the_lens_has_the_stop_with_which_the_template_ends_a_turn(tmp_path: Path) -> None:
    base = embedded_base("embedded:tiny")
    for path in base.iterdir():
        if path.name != "model.safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((base / "tokenizer_config.json").read_text())
    config["eos_token"] = "<|endoftext|>"
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "generation_config.json").write_text("{}")
    found = preview_of(load("quickstart").preset, tmp_path, "q", tmp_path)
    shown = found.look(row_of("a", "b"))
    assert "".join(piece.text for piece in shown.pieces if piece.trained) == "b<|im_end|>"


def test_a_base_that_is_not_on_this_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="is not downloaded yet"):
        load_preview("blop-gemma-2b")


def test_a_base_of_the_hub_is_found_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--google--gemma-2b-it"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    for path in embedded_base("embedded:tiny").iterdir():
        if path.name != "model.safetensors":
            (snapshot / path.name).write_bytes(path.read_bytes())
    assert load_preview("blop-gemma-2b").look(row_of("a", "b")).trained
