"""Several processes encode as one does: same rows, same order, whatever becomes of a helper."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.dataset.helpers import byte_level, chat, stop_id, template
from workbench.dataset.rows import Message, Place, Row
from workbench.tokenization import encoding_pool
from workbench.tokenization.conversations import encode_conversations
from workbench.tokenization.documents import encode_documents
from workbench.tokenization.encoder import Encoder
from workbench.tokenization.encoding_pool import EncodingPool, PoolWorker
from workbench.tokenization.encoding_process import unpack_tokens
from workbench.tokenization.sequences import EncodedRow

TOOL = {"type": "function", "function": {"name": "f", "arguments": {"n": 2**80}}}


def encoder() -> Encoder:
    tokenizer = byte_level()
    stops = (stop_id("qwen", tokenizer),)
    return Encoder(encode_conversations, tokenizer, template("qwen"), 120, stops, 4)


def rows(count: int) -> list[Row]:
    """All that a conversation may become: one sequence, several, cut ones, a fault."""
    kinds = [
        chat("one", "first größer 日本"),
        chat("two", "second", "more", "third"),
        chat("long", "x" * 300),
        chat("say <|im_end|>", "no"),
        replace(chat("a", "b"), messages=(Message("user", "a"), Message("assistant", "b", False))),
        Row(Place("a", 1), (Message("user", "a"), Message("assistant", "", tool_calls=(TOOL,)))),
    ]
    return [
        replace(kinds[number % len(kinds)], place=Place("a.jsonl", number + 1), category="c")
        for number in range(count)
    ]


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding_pool, "BATCH_ROWS", 5)


@pytest.fixture
def crew(small_batches: None) -> Iterator[EncodingPool]:
    """Two helpers that are there already, so that they take their part."""
    with EncodingPool(encoder(), TOLD.append, helpers=2, alone_chars=0) as made:
        made.helpers = [PoolWorker(encoder()) for _ in range(2)]
        for helper in made.helpers:
            helper._begun.result()
        TOLD.clear()
        yield made


TOLD: list[str] = []


def test_helpers_change_nothing(crew: EncodingPool, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = []

    def counted(packed: list[tuple[object, ...]], batch: list[Row]) -> list[EncodedRow]:
        answered.append(len(batch))
        return unpack_tokens(packed, batch)

    monkeypatch.setattr(encoding_pool, "unpack_tokens", counted)
    wanted = list(encoder().encode(rows(100)))
    assert list(crew.encode(rows(100))) == wanted
    assert sum(answered) >= 20, "the control: helpers did a part of it"
    assert list(crew.encode(iter(rows(30)))) == wanted[:30], "and they go on with the next rows"
    assert TOLD == []


def test_a_helper_that_dies_is_told_and_its_rows_are_encoded_here(crew: EncodingPool) -> None:
    found = crew.encode(rows(100))
    first = [next(found) for _ in range(3)]
    for helper in crew.helpers:
        helper.process.kill()
    assert first + list(found) == list(encoder().encode(rows(100)))
    assert TOLD == ["a tokenizer process ended (SIGKILL); continuing"] * 2
    assert list(crew.encode(rows(10))) == list(encoder().encode(rows(10)))


def test_helpers_encode_documents_in_blocks_too(crew: EncodingPool) -> None:
    crew._encoder = of_documents = replace(encoder(), encode_rows=encode_documents)
    for helper in crew.helpers:
        helper.end()
    crew.helpers = [PoolWorker(of_documents)]
    crew.helpers[0]._begun.result()
    texts = [Row(Place("a", n + 1), text=f"{n} document " * 40) for n in range(40)]
    found = list(crew.encode(texts))
    assert found == list(of_documents.encode(texts)) and all(len(one.parts) > 1 for one in found)


def test_what_fails_in_a_helper_fails_as_it_does_here(crew: EncodingPool) -> None:
    """It has no template for conversations; what it prints goes to the log."""
    without = replace(encoder(), template=None)
    crew._encoder = without
    for helper in crew.helpers:
        helper.end()
    crew.helpers = [PoolWorker(without)]
    crew.helpers[0]._begun.result()
    with pytest.raises(AssertionError, match="conversations need a template"):
        list(crew.encode(rows(100)))


def test_none_is_left_behind_when_the_reader_stops_early(small_batches: None) -> None:
    with EncodingPool(encoder(), TOLD.append, helpers=2, alone_chars=0) as crew:
        found = crew.encode(rows(1000))
        next(found)
        helpers = crew.helpers
        assert len(helpers) == 2
    assert [helper.process.poll() for helper in helpers] == [-9, -9]
    assert not [one for one in threading.enumerate() if one.name.startswith("helper")]


def test_a_helper_ends_with_the_process_that_it_helps() -> None:
    command = [sys.executable, "-m", "workbench.tokenization.encoding_process"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.communicate(timeout=60)[0] == b""
    assert process.returncode == 0


def test_where_no_process_can_be_started_it_goes_on_alone(
    small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, "no more processes")

    monkeypatch.setattr(subprocess, "Popen", refused)
    TOLD.clear()
    with EncodingPool(encoder(), TOLD.append, helpers=2, alone_chars=0) as crew:
        assert list(crew.encode(rows(40))) == list(encoder().encode(rows(40)))
        assert list(crew.encode(rows(20))) == list(encoder().encode(rows(20)))
    told = "no more tokenizer processes could be started (no more processes); continuing"
    assert TOLD == [told]


def test_few_rows_start_no_helper() -> None:
    with EncodingPool(encoder(), TOLD.append, helpers=2) as crew:
        assert list(crew.encode(rows(50))) == list(encoder().encode(rows(50)))
        assert crew.helpers == []


def test_batches_are_bounded_by_their_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding_pool, "BATCH_CHARS", 250)
    found = list(encoding_pool._batches(rows(21)))
    assert [row for batch in found for row in batch] == rows(21) and len(found) > 3
    assert all(encoding_pool._chars(batch[:-1]) < 250 for batch in found)
