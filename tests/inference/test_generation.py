from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.inference.helpers import Tiny, byte_id, write_tiny
from workbench.core.sampling import SamplingParams
from workbench.dataset.rows import Message
from workbench.inference.decoder import Decoder
from workbench.inference.generation import (
    MAX_BATCH_SIZE,
    Completion,
    PromptJob,
    batch_size,
    generate_batch,
    pack,
)
from workbench.inference.llama_model import LlamaModel
from workbench.inference.session import Session

GREEDY = SamplingParams(temperature=0, max_tokens=24)
QUESTIONS = [f"{'hello ' * (n % 5)}question {n} the" for n in range(12)]


@pytest.fixture
def decoder(tiny_model: LlamaModel) -> Iterator[Decoder]:
    opened = Decoder(tiny_model, context=256, sequences=8)
    yield opened
    opened.close()


def jobs(model: LlamaModel, sampling: SamplingParams = GREEDY) -> list[PromptJob]:
    return [PromptJob(model.tokenize(text, parse_special=False), sampling) for text in QUESTIONS]


def answers(decoder: Decoder, group: list[PromptJob]) -> list[str]:
    found = dict(generate_batch(decoder, group))
    return [found[i].text for i in range(len(group))]


def test_side_by_side_says_what_one_at_a_time_says(tiny_model: LlamaModel) -> None:
    """Rounding may let two near-equal tokens change places: allow it in one answer of eight."""
    group = jobs(tiny_model)[:8]
    wide = Decoder(tiny_model, context=256, sequences=8)
    narrow = Decoder(tiny_model, context=256)
    beside, alone = answers(wide, group), [answers(narrow, [job])[0] for job in group]
    wide.close()
    narrow.close()
    assert sum(a == b for a, b in zip(beside, alone, strict=True)) >= 7
    assert len(set(alone)) >= 6, "the prompts have different answers"


def test_side_by_side_equals_a_session_where_no_rounding_can_matter(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "chain.gguf", Tiny(says=b"Helo wrd!"))
    with Session.open(path, context=256) as session:
        asked = [Message("user", text) for text in QUESTIONS[:4]]
        one_by_one = [session.answer([message], GREEDY) for message in asked]
    model = LlamaModel(path)
    decoder = Decoder(model, context=256, sequences=4)
    starts = [PromptJob([byte_id(byte) for byte in b"abc\n"[n:]], GREEDY) for n in range(4)]
    found = dict(generate_batch(decoder, starts))
    decoder.close()
    model.close()
    for n, expected in enumerate(one_by_one):
        assert (found[n].text, found[n].stopped) == (expected.text, "stop")


def test_answers_end_one_by_one_and_each_once(decoder: Decoder, tiny_model: LlamaModel) -> None:
    ids = tiny_model.tokenize("hello", parse_special=False)
    limits = [9, 3, 1, 6]
    group = [PromptJob(ids, SamplingParams(temperature=0, max_tokens=n)) for n in limits]
    ended = list(generate_batch(decoder, group))
    assert [index for index, _ in ended] == [2, 1, 3, 0]
    assert [answer.n_tokens for _, answer in ended] == [1, 3, 6, 9]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_group_gives_the_same_answers_again(
    decoder: Decoder, tiny_model: LlamaModel, temperature: float
) -> None:
    sampling = SamplingParams(temperature=temperature, max_tokens=24, seed=5)
    group = jobs(tiny_model, sampling)
    first = answers(decoder, group[:8])
    answers(decoder, group[4:])
    assert answers(decoder, group[:8]) == first


def test_prompts_longer_than_one_call_are_read_whole(tiny_model: LlamaModel) -> None:
    decoder = Decoder(tiny_model, context=1024, sequences=3)
    long = [tiny_model.tokenize("x" * n, parse_special=False) for n in (700, 5, 650)]
    group = [PromptJob(ids, GREEDY) for ids in long]
    found: dict[int, Completion] = dict(generate_batch(decoder, group))
    assert [decoder.length(n) for n in range(3)] == [n + 23 for n in (700, 5, 650)]
    assert sorted(found) == [0, 1, 2]
    decoder.close()


def test_stopping_ends_the_group_without_half_answers(
    decoder: Decoder, tiny_model: LlamaModel
) -> None:
    calls = iter(range(100))
    found = list(generate_batch(decoder, jobs(tiny_model)[:8], lambda: next(calls) >= 5))
    assert found == []


@settings(deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(1, 16))
def test_pack_feeds_every_token_once_in_order(lengths: list[int], room: int) -> None:
    prompts = [[n * 100 + i for i in range(length)] for n, length in enumerate(lengths)]
    seen: dict[int, list[int]] = {n: [] for n in range(len(prompts))}
    wanted = []
    for call in pack(prompts, room):
        assert 0 < sum(len(feed.tokens) for feed in call) <= room
        for feed in call:
            seen[feed.sequence] += feed.tokens
            wanted += [feed.sequence] if feed.wanted else []
    assert list(seen.values()) == prompts
    assert wanted == list(range(len(prompts)))


def test_together_depends_on_memory() -> None:
    assert batch_size(1024, 512) == MAX_BATCH_SIZE
    assert batch_size(512 * 1024, 1024) == 2
    assert batch_size(2 << 20, 4096) == 1
