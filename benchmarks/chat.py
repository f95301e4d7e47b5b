"""Talking to a model and asking it many questions: what our engine adds to llama.cpp, and saves.

    python -m benchmarks.chat [PART ...] [--models DIR] [--json FILE]

PART is one of generation, turns, adapters, evaluation (all of them by default). Models are random,
in the shape of Qwen2.5-0.5B and of the base that ships; they are written to DIR and found there
again, or made in a temporary folder. What is compared is run turn about, and medians are told.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.chat_bare import Bare
from benchmarks.chat_models import HALF_BILLION, SMALL, Shape, make, make_adapters
from benchmarks.figures import Figure, tell
from workbench.checkers.execution import check
from workbench.core.sampling import SamplingParams
from workbench.dataset.rows import Message, Place, Row
from workbench.inference.prompt_tokens import prompt_ids
from workbench.inference.session import Session
from workbench.pipeline.evaluation.judging import Checker
from workbench.pipeline.evaluation.questions import GenerationSettings
from workbench.pipeline.evaluation.stage import EvaluationPlan, evaluate_stage
from workbench.tokenization.chat_template import ChatTemplate

TYPES = ("q8_0", "q4_k_m")
QUESTION = "What is the name of the longest river that ends in a lake?"
LONG = "In the middle of the way there was a stone. "
PLAIN = ChatTemplate("{{ messages[0].content }}")
CHECKER = Checker(("{python}", "-c", "import json", "{file}"), ".txt", "all")


def generation(models: Path) -> Iterator[Figure]:
    """Tokens a second of an answer, beside a bare loop over the same calls."""
    for shape, n_tokens, rounds in ((HALF_BILLION, 24, 5), (SMALL, 400, 9)):
        for kind in TYPES:
            yield _generation(shape, make(shape, kind, models), kind, n_tokens, rounds)


def _generation(shape: Shape, path: Path, kind: str, n_tokens: int, rounds: int) -> Figure:
    asked = [Message("user", QUESTION)]
    ours, theirs = [], []
    with Session.open(path, context=1024) as session:
        bare = Bare(path, 1024)
        prompt = prompt_ids(session.model, session.template, asked)
        for number in range(rounds + 1):
            sampling = SamplingParams(max_tokens=n_tokens, seed=number)
            answer = session.answer(asked, sampling)
            took_s = bare.generate(prompt, answer.n_tokens, sampling)
            if number and answer.n_tokens > n_tokens // 2:  # the first warms up
                ours.append(answer.tokens_per_second)
                theirs.append((answer.n_tokens - 1) / took_s)
        bare.close()
    return Figure(
        f"generation, {shape.name} {kind}",
        statistics.median(ours),
        "tokens/s",
        "higher",
        peer=statistics.median(theirs),
        goal_ratio=0.97,
        note=f"{n_tokens} tokens, median of {len(ours)}",
    )


def turns(models: Path) -> Iterator[Figure]:
    """Until the first words of a second turn, beside those of the first, of a long conversation."""
    for shape, words in ((HALF_BILLION, 40), (SMALL, 40)):
        path, first, second = make(shape, "q4_k_m", models), [], []
        with Session.open(path, context=4096) as session:
            for number in range(3):
                said = [Message("user", f"{number} {LONG * words}")]
                first.append(_first_words(session, said))
                assert session.last_answer
                said += [Message("assistant", session.last_answer.text), Message("user", "And?")]
                second.append(_first_words(session, said))
                read = session.last_answer
        yield Figure(
            f"second turn's first words, {shape.name} q4_k_m",
            statistics.median(second) * 1000,
            "ms",
            goal_ratio=5.0,
            peer=statistics.median(first) * 1000,
            note=f"peer: the first turn; {read.prompt_tokens:,} tokens, all but "
            f"{read.prompt_tokens - read.cached_tokens:,} kept",
        )


def _first_words(session: Session, said: list[Message]) -> float:
    """Seconds from asking, template and tokenizer included, to the first text; the rest is read."""
    began = time.perf_counter()
    stream = session.stream(said, SamplingParams(max_tokens=12))
    next(stream)
    took_s = time.perf_counter() - began
    for _ in stream:
        pass
    return took_s


def adapters(models: Path) -> Iterator[Figure]:
    """From one adapter to another and its first token, less that token and the file's reading."""
    paths = make_adapters(HALF_BILLION, models, 2)
    for kind in TYPES:
        beyond, reading = [], []
        path = make(HALF_BILLION, kind, models)
        with Session.open(path, context=1024, template=PLAIN) as session:
            for number in range(12):
                path = paths[number % 2]
                began = time.perf_counter()
                size = len(path.read_bytes())
                read = time.perf_counter()
                session.adapt(path)
                adapted = time.perf_counter()
                first, usual = _token(session, "a"), _token(session, "b")
                if number:
                    beyond.append((adapted - read) - (read - began) + max(0.0, first - usual))
                    reading.append(read - began)
        yield Figure(
            f"adapter switch beyond its reading, {HALF_BILLION.name} {kind}",
            statistics.median(beyond) * 1000,
            "ms",
            goal=50.0,
            note=f"{size / 1e6:.0f} MB, read in {statistics.median(reading) * 1000:.0f} ms",
        )


def _token(session: Session, prompt: str) -> float:
    """Seconds for a prompt of one token and its answer of one."""
    began = time.perf_counter()
    session.answer([Message("user", prompt)], SamplingParams(max_tokens=1))
    return time.perf_counter() - began


def evaluation(models: Path) -> Iterator[Figure]:
    """100 prompts asked side by side, and checked beside that, or one after the other."""
    for shape, n_tokens in ((SMALL, 96), (HALF_BILLION, 16)):
        path = make(shape, "q4_k_m", models)
        sampling = SamplingParams(max_tokens=n_tokens)
        rows = [_row(number) for number in range(100)]
        alone_s, checks_s = _one_at_a_time(path, rows, sampling)
        note = f"100 prompts, {n_tokens} tokens each"
        yield Figure(
            f"answers, {shape.name} q4_k_m",
            _together(path, rows, sampling, Checker()),
            "s",
            peer=alone_s,
            goal_ratio=1.5,
            note=f"{note}; peer: one at a time",
        )
        yield Figure(
            f"answers and checks, {shape.name} q4_k_m",
            _together(path, rows, sampling, CHECKER),
            "s",
            peer=alone_s + checks_s,
            goal_ratio=1.5,
            note=f"{note}; peer: one at a time, each then checked, {checks_s:.1f} s of it",
        )


def _row(number: int) -> Row:
    return Row(Place("made", number), (Message("user", f"{number}: why?"),))


def _one_at_a_time(path: Path, rows: list[Row], sampling: SamplingParams) -> tuple[float, float]:
    """Seconds for all answers, and for all checks."""
    answers_s = checks_s = 0.0
    began = time.perf_counter()
    with Session.open(path, context=512) as session:
        for row in rows:
            answer = session.answer(row.messages, sampling).text
            answered = time.perf_counter()
            check(CHECKER.command, answer, suffix=CHECKER.suffix)
            answers_s += answered - began
            began = time.perf_counter()
            checks_s += began - answered
    return answers_s, checks_s


def _together(path: Path, rows: list[Row], sampling: SamplingParams, checker: Checker) -> float:
    plan = EvaluationPlan(
        rows, GenerationSettings(sampling, context=512), checker, perplexity=False
    )
    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        evaluate_stage({"m": path}, plan, Path(out), subject="m", reference="m")
        return time.perf_counter() - began


PARTS: dict[str, Callable[[Path], Iterator[Figure]]] = {
    "generation": generation,
    "turns": turns,
    "adapters": adapters,
    "evaluation": evaluation,
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("parts", metavar="PART", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--models", metavar="DIR", default="")
    parser.add_argument("--json", metavar="FILE", default="")
    given = parser.parse_args(arguments)
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="chat-") as place:
        models = Path(given.models or place)
        models.mkdir(parents=True, exist_ok=True)
        figures = []
        for name in given.parts or PARTS:
            for figure in PARTS[name](models):
                figures.append(figure)
                print(f"{figure.name}: {figure.ours:.3g} {figure.unit}", file=sys.stderr)
    return tell(figures, given.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
