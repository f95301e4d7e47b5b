"""The report of an evaluation, read again: `report.json` has the metrics, `cases/` every case.

The metrics are few and read at once, as plain values with their intervals and p-values; the cases
of a model are in a separate file. Reports of the first format, which held the cases, are read too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.core.errors import UserError
from workbench.reports.cases import Case, case_of, read_cases


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval, over `n` prompts."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class PairedTest:
    """Two models on the same prompts: how often only one passes, and how likely by chance alone.

    `p_value` is McNemar's exact two-sided one. `gain` is second minus first.
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float
    gain: Estimate

    @property
    def prompts(self) -> int:
        """How many prompts both models were judged on."""
        return self.both + self.only_first + self.only_second + self.neither


@dataclass(frozen=True)
class GuardResult:
    """Shares before and after over `prompts` that both were measured on; `sentence` says it all."""

    name: str
    before: float
    after: float
    max_drop: float
    prompts: int
    kept: bool
    sentence: str

    @property
    def drop(self) -> float:
        return self.before - self.after


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided p-value: were both models alike, each lone pass would be a fair coin's throw."""
    n, fewer = only_first + only_second, min(only_first, only_second)
    if n == 0:
        return 1.0
    tail = ways = 1  # C(n, 0), C(n, 1), ... one from the other
    for i in range(fewer):
        ways = ways * (n - i) // (i + 1)
        tail += ways
    return min(1.0, 2 * tail / (1 << n))


def p_value_text(p_value: float) -> str:
    """A p-value for the eye: `= 0.0312`, `< 0.0001`."""
    return "< 0.0001" if p_value < 1e-4 else f"= {p_value:.4f}"


FORMAT = "workbench-report-2"
FORMATS = ("workbench-report-1", FORMAT)
NAME = "report.json"
LABELS = {
    "prompts": "prompts",
    "passed": "checker pass rate",
    "adheres": "adherence (required strings)",
    "exact": "exact match",
    "stopped": "stops on its own",
    "perplexity": "perplexity of expected responses",
    "mean_tokens": "tokens per response",
    "not_measured": "not measured",
}

Figures = dict[str, Any]  # flat: `passed`, `passed_low`, `passed_high`, `prompts`, ...


@dataclass(frozen=True)
class ModelReport:
    """One model's figures: the headline, each category, and those reported apart."""

    name: str
    headline: Figures
    categories: dict[str, Figures]
    apart: dict[str, Figures]
    cases: Path | tuple[Case, ...] = field(repr=False)

    def read_cases(self) -> Iterator[Case]:
        """All cases, the guards' behind the rest. Raises UserError for a damaged file."""
        yield from read_cases(self.cases) if isinstance(self.cases, Path) else self.cases


@dataclass(frozen=True)
class Report:
    """`subject` is the model that was to be judged, `reference` the one it is measured by.

    `gains` maps every other model to the test between it and the subject, None where no prompt
    was judged for both. `since` is what has changed against an evaluation of before, in words.
    """

    path: Path
    title: str
    date: str
    checker: str
    subject: str
    reference: str
    passed: bool
    verdict: str
    models: dict[str, ModelReport]
    gains: dict[str, PairedTest | None]
    guards: tuple[GuardResult, ...]
    since: str = ""


def read_report(folder: Path) -> Report:
    """The report in an evaluation's folder. Raises UserError when there is none, or no such one."""
    path = folder / NAME
    try:
        told = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError("no finished evaluation here", path=folder) from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", path=path) from error
    except (ValueError, RecursionError):
        raise UserError("not valid JSON", path=path, hint=_AGAIN) from None
    try:
        return _report(path, told)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise UserError("not an evaluation report", path=path, hint=_AGAIN) from None


_AGAIN = "rerun the evaluation stage to rewrite it"


def _report(path: Path, told: dict[str, Any]) -> Report:
    if told["format"] not in FORMATS:
        raise UserError(f"unsupported report format '{told['format']}'", path=path, hint=_AGAIN)
    about = told.get("about", {})
    report = Report(
        path=path,
        title=str(about.get("title", "")),
        date=str(about.get("date", "")),
        checker=str(about.get("checker", "")),
        subject=told["subject"],
        reference=told["reference"],
        passed=bool(told["passed"]),
        verdict=str(told["verdict"]),
        models={name: _model(path, name, model) for name, model in told["models"].items()},
        gains={name: _test(test) for name, test in told["gains"].items()},
        guards=tuple(map(_guard, told["guards"])),
        since=_since(told["subject"], told.get("since")),
    )
    if report.subject not in report.models:
        raise ValueError("the evaluated model is not in it")
    return report


def _model(path: Path, name: str, told: dict[str, Any]) -> ModelReport:
    cases = told["cases"]
    return ModelReport(
        name=name,
        headline=_figures(told["headline"]),
        categories={key: _figures(value) for key, value in told["categories"].items()},
        apart={key: _figures(value) for key, value in told["apart"].items()},
        cases=path.parent / cases if isinstance(cases, str) else tuple(map(case_of, cases)),
    )


def _figures(told: dict[str, Any]) -> Figures:
    """The figures that are numbers; what else a hand has put there is none."""
    return {key: value for key, value in told.items() if type(value) in (int, float)}


def _test(told: dict[str, Any] | None) -> PairedTest | None:
    if told is None:
        return None
    counts = {name: int(told[name]) for name in ("both", "only_first", "only_second", "neither")}
    gain = {name: float(told["gain"][name]) for name in ("value", "low", "high")}
    test = Estimate(**gain, n=int(told["gain"]["n"]))
    return PairedTest(**counts, p_value=float(told["p_value"]), gain=test)


def _since(subject: str, told: dict[str, Any] | None) -> str:
    if not told or not isinstance(told.get("sentence"), str):
        return ""
    return f"{subject} vs. {told['name']} ({told['date']}): {told['sentence']}"


def _guard(told: dict[str, Any]) -> GuardResult:
    return GuardResult(
        name=str(told["name"]),
        before=float(told["before"]),
        after=float(told["after"]),
        max_drop=float(told["max_drop"]),
        prompts=int(told["prompts"]),
        kept=bool(told["kept"]),
        sentence=str(told["sentence"]),
    )
