"""Prepared sequences: what training reads; a row that changed is tokenized anew, no other is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from tests.dataset.helpers import byte_level, chat, stop_id, template
from workbench.dataset.rows import Message, Place, Row
from workbench.pipeline.prepare import sequence_file, stage
from workbench.pipeline.prepare.sequence_file import (
    SequenceCache,
    SequenceWriter,
    encoding_key,
    row_key,
)
from workbench.pipeline.training.token_dataset import TokenDataset
from workbench.tokenization import encoding_pool
from workbench.tokenization.chat_template import ChatTemplate
from workbench.tokenization.conversations import encode_conversations
from workbench.tokenization.documents import encode_documents
from workbench.tokenization.encoder import EncodedSplit, Encoder, Tokenize
from workbench.tokenization.encoding_pool import EncodingPool, PoolWorker
from workbench.tokenization.sequences import EncodedRow


def encode_any(rows: Sequence[Row], encoder: Encoder, tokenize: Tokenize) -> Iterator[EncodedRow]:
    """Conversations and documents beside each other, so that one file holds all there is."""
    for row in rows:
        encode = encode_conversations if row.messages else encode_documents
        yield from encode([row], encoder, tokenize)


class Counting(Encoder):
    """An encoder that says which rows it had to tokenize."""

    def encode(self, rows: Iterable[Row]) -> Iterator[EncodedRow]:
        for found in super().encode(rows):
            ASKED.append(found.row.place.line)
            yield found


ASKED: list[int] = []


@pytest.fixture
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Encoder:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ASKED.clear()
    tokenizer = byte_level()
    stops = (stop_id("qwen", tokenizer),)
    return Counting(encode_any, tokenizer, template("qwen"), 120, stops, separator_id=4)


ROWS = [
    chat("one", "first", place=Place("a", 1)),
    chat("two", "second", "more", "third", place=Place("a", 2)),  # rewritten: a sequence a turn
    chat("long", "x" * 300, place=Place("a", 3)),  # dropped
    Row(Place("a", 4), text="a document " * 40),  # several blocks
    chat("one", "first", place=Place("a", 5)),  # the same again
]


def made(encoder: Encoder, rows: list[Row], path: Path) -> tuple[list[list[int]], EncodedSplit]:
    earlier = SequenceCache(encoding_key(encoder, "{}"))
    encoding = EncodedSplit()
    with SequenceWriter(path) as writer:
        for key, found in earlier.encode(rows, encoder):
            writer.add(found, encoding.enter(found, "drop"), key)
    earlier.remember([path])
    examples = TokenDataset.load(path)
    return [examples.ids(n).tolist() for n in range(len(examples))], encoding


def test_the_file_holds_what_was_encoded(encoder: Encoder, tmp_path: Path) -> None:
    ids, encoding = made(encoder, ROWS, tmp_path / "a.safetensors")
    wanted = [e for f in encoder.encode(ROWS) for e in EncodedSplit().enter(f, "drop")]
    assert ids == [entry.ids.tolist() for entry in wanted] and len(ids) > 6
    examples = TokenDataset.load(tmp_path / "a.safetensors")
    assert [examples.trained(n).tolist() for n in range(len(ids))] == [
        list(e.trained) for e in wanted
    ]
    assert encoding.ledger.rows == 5 and encoding.ledger.dropped.count == 1
    assert set(load_file(tmp_path / "a.safetensors")) == {
        "ids",
        "trained",
        "offsets",
        "keys",
        "flags",
    }


def test_several_processes_write_the_same_bytes(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding_pool, "BATCH_ROWS", 50)
    facts = (getattr(encoder, name) for name in Encoder.__dataclass_fields__)
    plain = replace(Encoder(*facts), encode_rows=encode_conversations)
    chats = [row for row in ROWS if row.messages]
    rows = [row for number in range(100) for row in (chat(f"{number}", "first"), *chats)]
    alone, together = tmp_path / "alone.safetensors", tmp_path / "together.safetensors"
    with EncodingPool(plain, pytest.fail, helpers=2, alone_chars=0) as crew:
        crew.helpers = [PoolWorker(plain), PoolWorker(plain)]
        for helper in crew.helpers:
            helper._begun.result()
        for path, encodes in ((alone, plain), (together, crew)):
            with SequenceWriter(path) as writer:
                for found in encodes.encode(rows):
                    writer.add(found, EncodedSplit().enter(found, "drop"), row_key(found.row))
    assert alone.read_bytes() == together.read_bytes()


def test_only_what_changed_is_tokenized_again(encoder: Encoder, tmp_path: Path) -> None:
    first, before = made(encoder, ROWS, tmp_path / "a.safetensors")
    assert sorted(ASKED) == [1, 2, 3, 4], "a row that comes twice is tokenized once"
    ASKED.clear()
    changed = [*ROWS[:3], chat("new", "row", place=Place("a", 9)), *ROWS[3:]]
    second, after = made(encoder, changed, tmp_path / "b.safetensors")
    assert ASKED == [3, 9], "what was dropped is looked at again, as its length is told"
    assert [one for one in second if one not in first] == [second[3]]
    assert after.ledger.by_turn.count == before.ledger.by_turn.count == 1
    assert after.ledger.longest == before.ledger.longest > 300
    whole, _ = made(encoder, changed, tmp_path / "c.safetensors")
    assert whole == second
    assert (tmp_path / "b.safetensors").read_bytes() == (tmp_path / "c.safetensors").read_bytes()


def test_another_way_of_tokenizing_or_a_changed_file_starts_anew(
    encoder: Encoder, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    made(encoder, ROWS, path)
    names = {encoding_key(encoder, "{}")}
    for other in (
        replace(encoder, sequence_length=64),
        replace(encoder, stop_ids=(1,)),
        replace(encoder, separator_id=5),
        replace(encoder, template=template("chatml")),
        replace(encoder, encode_rows=encode_documents),
    ):
        names.add(encoding_key(other, "{}"))
    names.add(encoding_key(encoder, "{ }"))
    assert len(names) == 7
    path.write_bytes(path.read_bytes() + b"x")
    ASKED.clear()
    made(encoder, ROWS[:1], tmp_path / "b.safetensors")
    assert ASKED == [1]


def test_a_template_for_tools_and_a_date_are_part_of_the_way(encoder: Encoder) -> None:
    plain = template("chatml")
    dated = replace(plain, source=plain.source + "{{ strftime_now('%Y') }}")
    with_tools = replace(plain, others=(("tool_use", "x"), ("rag", "y")))
    ways = [
        encoding_key(replace(encoder, template=one), "{}") for one in (plain, dated, with_tools)
    ]
    assert len(set(ways)) == 3
    other = replace(plain, others=(("rag", "y"),))
    assert encoding_key(replace(encoder, template=other), "{}") == ways[0]


def test_a_date_of_another_day_is_another_way(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    dated = replace(encoder, template=ChatTemplate("{{ strftime_now('%Y') }}"))
    today = encoding_key(dated, "{}")

    class Tomorrow(date):
        @classmethod
        def today(cls) -> Tomorrow:
            return cls.fromordinal(date.today().toordinal() + 1)

    monkeypatch.setattr(sequence_file, "date", Tomorrow)
    assert encoding_key(dated, "{}") != today


def test_a_key_tells_rows_apart_that_are_tokenized_apart() -> None:
    row = chat("a", "b", place=Place("a", 1))
    user, answer = row.messages
    tool = {"type": "function", "function": {"name": "f"}}
    others = [
        replace(row, tools=(tool,)),
        replace(row, messages=(user, replace(answer, train=False))),
        replace(row, messages=(user, replace(answer, reasoning="so"))),
        replace(row, messages=(user, replace(answer, tool_calls=(tool,)))),
        replace(row, messages=(user, replace(answer, content="b "))),
        replace(row, messages=(Message("system", "a"), answer)),
        Row(Place("a", 1), text="ab"),
    ]
    assert len({row_key(one) for one in [row, *others]}) == 8
    assert row_key(replace(row, place=Place("z", 9), category="c")) == row_key(row)


def test_a_writing_that_fails_leaves_nothing(encoder: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(ValueError), SequenceWriter(path):
        raise ValueError
    assert [found.name for found in tmp_path.iterdir()] == []


def test_no_rows_make_an_empty_file(encoder: Encoder, tmp_path: Path) -> None:
    ids, _ = made(encoder, [], tmp_path / "a.safetensors")
    assert ids == [] and len(TokenDataset.load(tmp_path / "a.safetensors")) == 0


def test_rows_are_written_and_read_back_whatever_they_hold(tmp_path: Path) -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": {"n": 2**80, "x": "größer"}}}
    said = Message("assistant", "\x7f\u2028 日本", tool_calls=(call,))
    rows = [*ROWS, Row(Place("a", 9), (Message("user", "a"), said), tools=(call,))]
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"".join(map(stage._line, rows)))
    assert stage.load_rows(path) == rows
