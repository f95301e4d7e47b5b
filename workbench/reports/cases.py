"""One answer of a model with all that was found about it, and the file that holds a model's cases.

A file of cases is JSON Lines: a line a case, in the order of asking, the guards' behind the rest.
A reader takes it line by line, so that a screen never waits for a large one.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from workbench.core.errors import UserError

Verdict = Literal["passed", "failed", "unjudged", "unmeasured"]
Key = tuple[str, int, int]  # guard, prompt, sample


@dataclass(frozen=True)
class Case:
    """A question, a model's answer to it, and what was found. None: there was nothing to judge by.

    `problem` says why a case could not be measured; such a case counts in no figure. `earlier` are
    role and text of what was said before the prompt. `guard` names the guard that asked.
    `expected_nats` is the model's loss over the `expected_tokens` of the expected answer, 0 where
    that was not weighed; the first sample of a prompt has it. `labels` are further facts about the
    row, its difficulty among them.
    """

    index: int
    sample: int
    place: str
    category: str
    prompt: str
    expected: str
    answer: str = ""
    stopped: str = ""
    n_tokens: int = 0
    elapsed_s: float = 0.0
    passed: bool | None = None
    checker_says: str = ""
    must_contain: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    exact: bool | None = None
    problem: str = ""
    earlier: tuple[tuple[str, str], ...] = ()
    guard: str = ""
    expected_tokens: int = 0
    expected_nats: float = 0.0
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def measured(self) -> bool:
        return not self.problem

    @property
    def adheres(self) -> bool | None:
        """Whether everything asked for by name is there."""
        return not self.missing if self.must_contain and self.measured else None

    @property
    def passes(self) -> bool | None:
        """By the checker; without one by the words asked for; without those by the expected answer.

        None when the case was not measured or there was nothing to judge by.
        """
        if not self.measured:
            return None
        for verdict in (self.passed, self.adheres, self.exact):
            if verdict is not None:
                return verdict
        return None

    @property
    def perplexity(self) -> float | None:
        """Of the tokens of the expected answer, None where they were not weighed."""
        if not self.expected_tokens:
            return None
        return math.exp(min(self.expected_nats / self.expected_tokens, 700.0))

    @property
    def verdict(self) -> Verdict:
        """`passes` as a word."""
        if not self.measured:
            return "unmeasured"
        return {True: "passed", False: "failed", None: "unjudged"}[self.passes]  # type: ignore[return-value]

    @property
    def key(self) -> Key:
        """Which asking this is: equal for all models of one evaluation."""
        return self.guard, self.index, self.sample


def to_lines(cases: Iterable[Case]) -> str:
    """The text of a file of cases."""
    return "".join(
        json.dumps(asdict(case), ensure_ascii=False, allow_nan=False) + "\n" for case in cases
    )


def read_cases(path: Path) -> Iterator[Case]:
    """The cases of a file, one after the other. Raises UserError with the line that is none."""
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                yield _case(line, path, number)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", path=path) from error


_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float, int),
    "str": (str,),
    "bool | None": (bool, type(None)),
    "tuple[str, ...]": (list,),
    "tuple[tuple[str, str], ...]": (list,),
}
_FIELDS = {field.name: _KINDS[str(field.type)] for field in dataclasses.fields(Case)}


def case_of(value: Any) -> Case:
    """The case that an object of JSON tells; fields that are not known are passed over.

    Raises TypeError for anything else.
    """
    if not isinstance(value, dict):
        raise TypeError("no object")
    known = {name: value[name] for name in _FIELDS if name in value}
    if not all(isinstance(known[name], _FIELDS[name]) for name in known):
        raise TypeError("a field of another type")
    words = {name: tuple(map(str, known.get(name, ()))) for name in ("must_contain", "missing")}
    pairs = {
        name: tuple((str(first), str(second)) for first, second in known.get(name, ()))
        for name in ("earlier", "labels")
    }
    return Case(**{**known, **words, **pairs})


def _case(line: bytes, path: Path, number: int) -> Case:
    try:
        return case_of(json.loads(line))
    except (ValueError, TypeError, RecursionError):
        hint = "rerun the evaluation stage to rewrite it"
        raise UserError("not a valid evaluation case", path=path, line=number, hint=hint) from None
