"""`report.json` and `cases/` for programs, `report.md` for people, from one `EvaluationResult`.

`report_cases` shows the cases; here are the figures. Names that a preset or a server gave are shown
in one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workbench.core import files
from workbench.core.text import one_line
from workbench.pipeline.evaluation.history import SHOWN as HISTORY_SHOWN
from workbench.pipeline.evaluation.history import Line, remember
from workbench.pipeline.evaluation.metrics import Metrics
from workbench.pipeline.evaluation.report_cases import (
    bullets,
    changes,
    examples,
    failures,
    not_measured,
)
from workbench.pipeline.evaluation.result import EvaluationResult, ModelResult, headline
from workbench.reports.cases import to_lines
from workbench.reports.evaluation_report import FORMAT, Estimate, PairedTest, p_value_text

NO_CATEGORY = "(none)"
OTHER_TOKENS = (
    "Perplexity is per token: these models tokenize the responses differently, or could read "
    "different ones, so their values are not comparable."
)

MEASURES: tuple[tuple[str, Callable[[Metrics], Estimate | None]], ...] = (
    ("checker pass rate", lambda figures: figures.passed),
    ("adherence (required strings)", lambda figures: figures.adheres),
    ("exact match", lambda figures: figures.exact),
    ("stops on its own", lambda figures: figures.stopped),
    ("perplexity of expected responses", lambda figures: figures.perplexity),
)


def write_report(result: EvaluationResult) -> None:
    """Write all files, each whole or not at all; `report.json`, which names the others, last."""
    folder = result.report_json.parent
    with files.whole_folder(folder / "cases") as made:
        for model in result.models.values():
            text = to_lines((*model.cases, *model.guarded))
            files.write_atomic(made / Path(model.cases_file).name, text)
    told = as_markdown(result, remember(folder, result))
    files.write_atomic(result.report_markdown, told)
    files.write_json(result.report_json, as_json(result))


def as_json(result: EvaluationResult) -> dict[str, Any]:
    """Figures, tests and guards; where the cases of every model stand."""
    return {
        "format": FORMAT,
        "about": asdict(result.about),
        "passed": result.passed,
        "verdict": result.verdict,
        "subject": result.subject,
        "reference": result.reference,
        "models": {name: _model_json(model) for name, model in result.models.items()},
        "gains": {name: asdict(test) if test else None for name, test in result.gains.items()},
        "guards": [asdict(guard) for guard in result.guards],
        "since": result.since.as_json() if result.since else None,
    }


def _model_json(model: ModelResult) -> dict[str, Any]:
    figures = model.figures
    return {
        "identity": model.identity,
        "headline": headline(figures.headline),
        "categories": {name: headline(value) for name, value in figures.categories.items()},
        "apart": {name: headline(value) for name, value in figures.apart.items()},
        "labels": {
            name: {value: headline(part) for value, part in values.items()}
            for name, values in figures.labels.items()
        },
        "cases": model.cases_file,
    }


def as_markdown(result: EvaluationResult, history: Sequence[Line] = ()) -> str:
    """The report as a person reads it, figures first; `history` as `remember` gives it."""
    sections = [
        _head(result),
        _gains(result),
        _categories(result, "By category", lambda model: model.figures.categories),
        *_labels(result),
        _categories(result, "Reported separately", lambda model: model.figures.apart),
        _guards(result),
        examples(result),
        failures(result),
        changes(result),
        not_measured(result),
        _history(history),
        bullets("Training", result.about.training),
        bullets("Data notes", result.about.notes),
        bullets("Files", [f"`{name}`" for name in result.about.files]),
        bullets("Next steps", [f"`{command}`" for command in result.about.next_steps]),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(result: EvaluationResult) -> str:
    models = result.models.values()
    lines = [f"# {one_line(result.about.title)}", ""]
    facts = [fact for fact in (result.about.date, _checker(result)) if fact]
    lines += [". ".join(facts) + ".", ""] if facts else []
    prompts = max((model.figures.headline.prompts for model in models), default=0)
    table = [["", *(one_line(model.name) for model in models)], ["prompts"]]
    table[1] += [str(model.figures.headline.prompts) for model in models]
    for title, measure in MEASURES:
        cells = [measure(model.figures.headline) for model in models]
        if any(cells):
            table.append([title, *map(_share, cells)])
    table += _pass_at(models)
    table.append(
        ["tokens per response", *(f"{m.figures.headline.mean_tokens:.0f}" for m in models)]
    )
    interval = f"In parentheses: 95% bootstrap confidence intervals over {prompts} prompts."
    lines += [_table(table), "", interval, *_tokenizers(models)]
    return "\n".join([*lines, "", f"**{result.verdict}**"])


def _tokenizers(models: Iterable[ModelResult]) -> list[str]:
    """What to know where the models cut the same answers into different tokens."""
    counts = {model.figures.headline.expected_tokens for model in models} - {0}
    return [OTHER_TOKENS] if len(counts) > 1 else []


def _checker(result: EvaluationResult) -> str:
    return f"Checker: `{one_line(result.about.checker, 120)}`" if result.about.checker else ""


def _pass_at(models: Iterable[ModelResult]) -> list[list[str]]:
    models = list(models)
    ks = sorted({k for model in models for k in model.figures.headline.pass_at if k > 1})
    return [
        [f"pass@{k}", *(_number(model.figures.headline.pass_at.get(k)) for model in models)]
        for k in ks
    ]


def _gains(result: EvaluationResult) -> str:
    sentences = [
        _gain(name, result.subject, test) for name, test in result.gains.items() if test is not None
    ]
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _gain(other: str, subject: str, test: PairedTest) -> str:
    models = f"**{one_line(subject)} vs. {one_line(other)}**"
    return (
        f"{models}: {_signed(test.gain)} on {test.prompts} prompts; {test.only_second} newly pass, "
        f"{test.only_first} newly fail; p {p_value_text(test.p_value)} (exact McNemar test)"
    )


def _signed(gain: Estimate) -> str:
    return f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"


def _categories(
    result: EvaluationResult, title: str, of: Callable[[ModelResult], dict[str, Metrics]]
) -> str:
    models = list(result.models.values())
    names = sorted({name for model in models for name in of(model)})
    if not names or (len(names) == 1 and title == "By category"):
        return ""
    parts = [f"## {title}"]
    for measure_title, measure in MEASURES:
        rows = [_category_row(name, models, of, measure) for name in names]
        if any(cell for row in rows for cell in row[2:]):
            head = [measure_title, "prompts", *(one_line(model.name) for model in models)]
            parts.append(_table([head, *rows]))
    return "\n\n".join(parts)


def _labels(result: EvaluationResult) -> list[str]:
    """A section for each label: difficulty, generation, whatever the rows tell of themselves."""
    models = result.models.values()
    names = dict.fromkeys(name for model in models for name in model.figures.labels)
    return [
        _categories(
            result,
            f"By {one_line(name)}",
            lambda model, name=name: model.figures.labels.get(name, {}),  # type: ignore[misc]
        )
        for name in names
    ]


def _category_row(
    name: str,
    models: Sequence[ModelResult],
    of: Callable[[ModelResult], dict[str, Metrics]],
    measure: Callable[[Metrics], Estimate | None],
) -> list[str]:
    each = [of(model).get(name) for model in models]
    prompts = max((figures.prompts for figures in each if figures), default=0)
    cells = [_number(share.value) if (share := measure(f) if f else None) else "" for f in each]
    return [one_line(name) or NO_CATEGORY, str(prompts), *cells]


def _guards(result: EvaluationResult) -> str:
    return bullets("Guards", [guard.sentence for guard in result.guards])


def _history(history: Sequence[Line]) -> str:
    """How the folder's models have fared over time, where there is more than this evaluation."""
    if len({line.get("date") for line in history}) < 2 and not _repeated(history):
        return ""
    rows = [["model", "pass rate", "guards", "date", "prompts", "notes"]]
    rows += [
        [
            one_line(str(line["model"])),
            _passes(line),
            one_line(str(line.get("guards", ""))),
            one_line(str(line.get("date", ""))),
            one_line(str(line.get("prompts", ""))),
            one_line(str(line.get("notes", "")), 120),
        ]
        for line in history[-HISTORY_SHOWN:]
    ]
    return f"## History\n\n{_table(rows)}"


def _repeated(history: Sequence[Line]) -> bool:
    names = [line["model"] for line in history]
    return len(set(names)) < len(names)


def _passes(line: Line) -> str:
    """The share that passes with its interval; what was measured in its place."""
    for key in ("passed", "adheres", "exact"):
        if isinstance(value := line.get(key), float):
            low, high = (line.get(f"{key}_{end}") for end in ("low", "high"))
            if isinstance(low, float) and isinstance(high, float):
                return f"{value:.3f} ({low:.3f} to {high:.3f})"
            return f"{value:.3f}"
    return ""


def _table(rows: Sequence[Sequence[str]]) -> str:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    rule = ["---", *("---:" for _ in rows[0][1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in [cells[0], rule, *cells[1:]])


def _share(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    low, high = _number(estimate.low), _number(estimate.high)
    return f"{_number(estimate.value)} ({low} to {high})"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if value < 1000 else f"{value:.4g}"
