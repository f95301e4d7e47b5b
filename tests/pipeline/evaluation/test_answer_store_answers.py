import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pipeline.evaluation.helpers import Parrot, row
from workbench.core.errors import Interrupted
from workbench.core.sampling import SamplingParams
from workbench.pipeline.evaluation.answer_store import answer_all
from workbench.pipeline.evaluation.questions import (
    GenerationSettings,
    Question,
    Reply,
    choose,
    fingerprint,
    questions_for,
)

ROWS = [row(f"prompt {n}") for n in range(10)]
ASKING = GenerationSettings(SamplingParams())
QUESTIONS = questions_for(ROWS, samples=2, seed=1)


def say(question: Question) -> str:
    return f"{question.text}, seed {question.seed}"


def ask(parrot: Parrot, path: Path, stop_after: int = 10**6) -> list[Reply]:
    polls = iter(range(10**7))
    return list(answer_all(parrot, QUESTIONS, ASKING, path, lambda: next(polls) >= stop_after))


def test_every_question_gets_one_reply_and_a_second_run_asks_nothing(tmp_path: Path) -> None:
    path, first, second = tmp_path / "a" / "m.jsonl", Parrot(say), Parrot(say)
    replies = ask(first, path)
    assert [reply.key for reply in replies] == [question.key for question in QUESTIONS]
    assert ask(second, path) == replies and second.asked == []


def test_an_interruption_keeps_what_was_answered(tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.jsonl", tmp_path / "part.jsonl"
    ask(Parrot(say), whole)
    with pytest.raises(Interrupted, match="stopped after 7 of 20 responses"):
        ask(Parrot(say), part, stop_after=7)
    rest = Parrot(say)
    ask(rest, part)
    assert len(rest.asked) == 13
    assert part.read_bytes() == whole.read_bytes()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 400))
def test_what_was_cut_off_at_any_byte_is_asked_again(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "m.jsonl"
    ask(Parrot(say), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - cut])
    again = Parrot(say)
    ask(again, path)
    assert path.read_bytes() == whole
    assert len(again.asked) == 20 - (whole[: len(whole) - cut].count(b"\n") - 1)


def test_answers_of_another_model_or_to_other_questions_are_not_used(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    ask(Parrot(say, "one"), path)
    other = Parrot(say, "two")
    ask(other, path)
    assert len(other.asked) == 20
    hotter = GenerationSettings(SamplingParams(temperature=0.9))
    third = Parrot(say, "two")
    list(answer_all(third, QUESTIONS, hotter, path))
    assert len(third.asked) == 20


def test_problems_are_told_but_asked_again(tmp_path: Path) -> None:
    class Sick(Parrot):
        def replies(self, questions, known, should_stop):  # type: ignore[no-untyped-def]
            for reply in super().replies(questions, known, should_stop):
                sick = reply.index == 3
                yield Reply(*reply.key, problem="server down") if sick else reply

    path = tmp_path / "m.jsonl"
    replies = ask(Sick(say), path)
    assert sum(bool(reply.problem) for reply in replies) == 2
    healthy = Parrot(say)
    ask(healthy, path)
    assert healthy.asked == [(3, 0), (3, 1)]


def test_a_damaged_line_is_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    ask(Parrot(say), path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[4] = b'{"index": 1, "sam\n'
    path.write_bytes(b"".join(lines))
    again = Parrot(say)
    ask(again, path)
    assert again.asked == [(1, 1)]


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.core import files

    path, real, calls = tmp_path / "m.jsonl", files.write_all, []

    def write_all(fd: int, data: bytes) -> None:
        calls.append(data)
        if len(calls) == 5:
            real(fd, data[:9])
            raise OSError(28, "No space left on device")
        real(fd, data)

    monkeypatch.setattr(files, "write_all", write_all)
    with pytest.raises(OSError, match="No space"):
        ask(Parrot(say), path)
    assert all(json.loads(line) for line in path.read_bytes().splitlines())
    assert path.read_bytes().endswith(b"\n")
    monkeypatch.undo()
    rest = Parrot(say)
    ask(rest, path)
    assert len(rest.asked) == 20 - 3


def test_seeds_belong_to_prompt_and_sample_alone() -> None:
    more = questions_for([*ROWS, row("another")], samples=3, seed=1)
    seeds = {question.key: question.seed for question in more}
    assert all(seeds[question.key] == question.seed for question in QUESTIONS)
    assert len(set(seeds.values())) == len(seeds)
    assert questions_for(ROWS, 2, seed=2)[0].seed != QUESTIONS[0].seed


def test_a_limit_draws_the_same_prompts_again() -> None:
    assert choose(ROWS, 0, 1) == choose(ROWS, 99, 1) == ROWS
    few = choose(ROWS, 4, 1)
    assert few == choose(ROWS, 4, 1) and len(few) == 4
    assert [ROWS.index(one) for one in few] == sorted(ROWS.index(one) for one in few)
    assert few != choose(ROWS, 4, 2)


def test_the_fingerprint_sees_every_setting() -> None:
    prints = {
        fingerprint(QUESTIONS, asking)
        for asking in (
            ASKING,
            GenerationSettings(SamplingParams(top_k=3)),
            GenerationSettings(SamplingParams(), ("x",)),
        )
    }
    assert len(prints) == 3
    assert fingerprint(QUESTIONS[:-1], ASKING) not in prints
