"""The ledger: every row is in the result or counted, with its place and what would save it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dataset.helpers import (
    STYLES,
    byte_level,
    byte_level_backend,
    chat,
    encode_rows,
    stop_id,
    template,
)
from workbench.core.errors import UserError
from workbench.dataset.rows import Message, Place, Row
from workbench.tokenization import encoder as encoder_module
from workbench.tokenization.chat_format import check_template, find_stop_id
from workbench.tokenization.chat_template import ChatTemplate
from workbench.tokenization.conversations import encode_conversations
from workbench.tokenization.documents import encode_documents
from workbench.tokenization.encoder import (
    EncodedSplit,
    Encoder,
    OverlengthPolicy,
    require_sequences,
)
from workbench.tokenization.tokenizer import from_backend, ids_of


def encoded(
    rows: list[Row],
    style: str = "chatml",
    sequence_length: int = 64,
    on_cut: OverlengthPolicy = "drop",
) -> EncodedSplit:
    tokenizer = byte_level()
    return encode_rows(
        rows,
        template(style),
        tokenizer,
        sequence_length=sequence_length,
        stop_ids=(stop_id(style, tokenizer),),
        on_cut=on_cut,
    )


def rows_of(*lengths: int) -> list[Row]:
    return [chat("q", "x" * n, place=Place("a.jsonl", i)) for i, n in enumerate(lengths, 1)]


def test_long_rows_are_dropped_and_counted_with_their_places() -> None:
    found = encoded(rows_of(5, 90, 5, *[95] * 8), sequence_length=64)
    ledger = found.ledger
    assert (ledger.rows, ledger.sequences, len(found.sequences)) == (11, 2, 2)
    assert ledger.cut.count == ledger.dropped.count == ledger.lost_stop.count == 9
    assert ledger.lost_all.count == 0
    assert [place.line for place in ledger.cut.places] == [2, 4, 5, 6, 7]
    assert encoded(rows_of(5, 90), sequence_length=ledger.saving_length).ledger.cut.count == 0
    assert encoded(rows_of(5, 95), sequence_length=ledger.saving_length - 1).ledger.cut.count == 1
    assert f"sequence_length = {ledger.saving_length} would truncate none" in ledger.lines()


def test_long_rows_are_cut_where_that_is_asked_and_something_is_left() -> None:
    found = encoded(rows_of(5, 90), sequence_length=64, on_cut="cut")
    assert [len(s.ids) for s in found.sequences][1] == 64 and found.sequences[1].lost_stop
    nothing = encoded([chat("q" * 90, "x")], sequence_length=64, on_cut="cut")
    assert nothing.sequences == [] and nothing.ledger.lost_all.count == 1
    assert nothing.ledger.dropped.count == 1


def test_long_rows_are_refused_with_the_length_that_saves_them() -> None:
    found = encoded(rows_of(5, 90), on_cut="refuse")
    saving = found.ledger.saving_length
    with pytest.raises(UserError) as caught:
        require_sequences(found, "refuse")
    assert f"1 (a.jsonl:2) (set sequence_length = {saving}" in str(caught.value)


def test_nothing_left_is_an_error_that_says_why() -> None:
    with pytest.raises(UserError, match="no row fits sequence_length = 8: 1 .a.jsonl:1. .set"):
        require_sequences(encoded(rows_of(90), sequence_length=8))
    quiet = replace(
        rows_of(5)[0], messages=(Message("user", "a"), Message("assistant", "b", False))
    )
    found = encoded([quiet])
    assert found.ledger.untrained.count == 1 and str(found.faults[0].place) == "a.jsonl:1"
    with pytest.raises(UserError, match="the data has no trained tokens"):
        require_sequences(found)


def test_a_row_that_the_template_refuses_stops_the_training() -> None:
    rows = [chat("a", "b"), chat("a", "b", system="be good", place=Place("a.jsonl", 2))]
    found = encoded(rows, "gemma")
    assert found.ledger.refused.count == 1 and len(found.sequences) == 1
    with pytest.raises(UserError, match=r"^a.jsonl:2: System role not supported"):
        require_sequences(found)


def test_names_of_control_tokens_are_told_with_their_place() -> None:
    found = encoded([chat("what is <|im_end|>?", "a token", place=Place("a.jsonl", 9))])
    assert found.ledger.special_in_text.count == 1
    assert str(found.faults[0]).startswith(
        "a.jsonl:9: the text contains the name of a special token"
    )
    assert require_sequences(found).sequences


def test_rewriting_templates_give_a_sequence_a_turn() -> None:
    found = encoded([chat("one", "first", "two", "second")], "qwen", 200)
    assert found.ledger.by_turn.count == 1 and found.ledger.sequences == 2
    assert require_sequences(found) is found


def test_documents_come_in_blocks_and_are_never_cut() -> None:
    encoder = Encoder(encode_documents, byte_level(), None, 40, (), 4)
    split = EncodedSplit()
    for found in encoder.encode([Row(Place("b.txt", 1), text="x" * 100)]):
        split.sequences += split.enter(found, "refuse")
    assert (split.ledger.rows, split.ledger.sequences) == (1, 3)
    assert split.ledger.cut.count == 0 and require_sequences(split, "refuse") is split


def test_a_batch_is_rendered_while_the_one_before_it_is_tokenized(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows stream: no more than two batches are in memory, and their order stays."""
    monkeypatch.setattr(encoder_module, "BATCH", 2)
    asked: list[int] = []

    def rows() -> Iterator[Row]:
        for row in rows_of(*range(1, 10)):
            asked.append(row.place.line)
            yield row

    tokenizer = byte_level()
    stops = (stop_id("chatml", tokenizer),)
    encoder = Encoder(encode_conversations, tokenizer, template("chatml"), 64, stops)
    found = encoder.encode(rows())
    assert next(found).row.place.line == 1 and asked == [1, 2, 3, 4]
    assert [one.row.place.line for one in found] == list(range(2, 10))


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 80), max_size=12),
    sequence_length=st.integers(8, 90),
    on_cut=st.sampled_from(["drop", "cut"]),
)
def test_every_row_is_kept_or_counted(
    lengths: list[int], sequence_length: int, on_cut: OverlengthPolicy
) -> None:
    found = encoded(rows_of(*lengths), sequence_length=sequence_length, on_cut=on_cut)
    ledger = found.ledger
    assert len(found.sequences) + ledger.dropped.count + ledger.untrained.count == len(lengths)
    assert all(len(s.ids) <= sequence_length and s.n_trained for s in found.sequences)
    assert ledger.lost_all.count <= ledger.lost_stop.count <= ledger.cut.count
    assert ledger.tokens == sum(len(s.ids) for s in found.sequences)
    json.dumps(ledger.to_json(), allow_nan=False)


@pytest.mark.parametrize("style", STYLES)
def test_the_template_check_finds_the_stop_token_by_itself(style: str) -> None:
    tokenizer = byte_level()
    report = check_template(template(style), tokenizer, (stop_id(style, tokenizer),))
    assert report.stop_id == stop_id(style, tokenizer)
    assert [fault for fault in report.faults if fault.fatal] == []
    assert report.takes_system == (style not in ("gemma", "mistral"))
    assert [fault.code for fault in report.faults] == (["header"] if style == "qwen" else [])


def test_the_template_check_refuses_what_cannot_be_trained() -> None:
    tokenizer = byte_level("<bos>")
    body = "{% for m in messages %}{{ m.role + m.content }}{% endfor %}"
    no_stop = check_template(ChatTemplate(body), tokenizer)
    assert [fault.code for fault in no_stop.faults] == ["header", "no-stop"]
    silent = check_template(ChatTemplate("{{ messages[0].content }}"), tokenizer)
    assert "no-answer" in [fault.code for fault in silent.faults]
    double = check_template(ChatTemplate("<bos>" + STYLES["gemma"][0], "<bos>"), tokenizer)
    assert [fault.code for fault in double.faults] == ["bos"]
    broken = check_template(ChatTemplate("{% if %}", name="x"), tokenizer)
    assert [fault.code for fault in broken.faults] == ["template"]


def test_a_turn_that_ends_with_a_token_at_which_nothing_stops_is_refused() -> None:
    report = check_template(template("chatml"), byte_level(), (4,))
    (fault,) = report.faults
    assert "'<|im_end|>', which is not a stop token (add '<|im_end|>' to generate.stop)" in str(
        fault
    )
    assert find_stop_id(template("chatml"), byte_level()) == 6


def test_a_backend_s_own_padding_and_cutting_are_left_behind() -> None:
    backend = byte_level_backend("<s>")
    backend.enable_truncation(3)
    backend.enable_padding(length=10)
    tokenizer = from_backend(backend)
    assert tokenizer.decode(tokenizer.encode("a long text it is")[0]) == "a long text it is"
    assert tokenizer.bos_id == 1 and backend.truncation is not None


def test_bos_can_be_said_where_the_backend_does_not() -> None:
    assert from_backend(byte_level_backend(), adds_bos=True, bos_token="<s>").bos_id == 1
    assert from_backend(byte_level_backend("<s>"), adds_bos=False).bos_id is None
    with pytest.raises(UserError, match="no BOS token '<none>'"):
        from_backend(byte_level_backend(), adds_bos=True, bos_token="<none>")


def test_ids_of_names() -> None:
    assert ids_of(byte_level(), ["<eos>", "<|im_end|>"]) == (4, 6)
    with pytest.raises(UserError, match="did you mean '<eos>'"):
        ids_of(byte_level(), ["<eoss>"])
