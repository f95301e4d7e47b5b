"""Evaluate a model, and optional baselines, on a file of prompts and write a report.

A run uses its preset's settings: [generate], stop strings, system prompt and, unless you pass
--checker, its checker. --checker takes a list of words or one string that is split at its spaces:
--checker builtin:similar 0.8, --checker "bbjcpl -N {file}". Ctrl+C keeps the responses; run the
same command again to continue.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.checkers.execution import find_program
from workbench.console.progress import ProgressLine
from workbench.core.errors import EXIT_DONE, EXIT_INTERRUPTED, UserError
from workbench.core.section import InvalidValue
from workbench.core.subprocesses import JsonChild
from workbench.core.text import one_line, table
from workbench.preset.loader import load
from workbench.preset.outputs import checker_words
from workbench.preset.schema import Evaluate
from workbench.reports.evaluation_report import (
    LABELS,
    ModelReport,
    PairedTest,
    Report,
    p_value_text,
    read_report,
)
from workbench.reports.run_summary import shown
from workbench.run import folder
from workbench.run.folder import RunFolder
from workbench.run.model_files import base_gguf, served_gguf

CHILD = (sys.executable, "-m", "workbench.pipeline.evaluation.evaluate_process")
GGUF, BASE = ".gguf", "base"
ENDPOINTS = ("ollama:", "openai:")
INTERVALS = ("passed", "adheres", "exact", "stopped", "perplexity")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    defaults = Evaluate()
    add("model", metavar="RUN|FILE.gguf", help="a run (name or folder) or a GGUF file")
    add(
        "--prompts", metavar="FILE", required=True, help="file with the prompts, in any data format"
    )
    add(
        "--checker",
        metavar="WORD",
        nargs="+",
        default=None,
        help='command that checks a response; "" for none',
    )
    add("--suffix", metavar=".EXT", default=None, help="suffix of the file passed to the checker")
    add("--samples", metavar="K", type=int, default=1, help="responses per prompt (default: 1)")
    add("--limit", metavar="N", type=int, default=0, help="use at most N prompts (default: all)")
    add(
        "--seed", metavar="N", type=int, default=defaults.seed, help="seed for --limit and sampling"
    )
    names = "base|RUN|FILE.gguf|ollama:NAME|openai:URL#MODEL"
    add(
        "--baseline",
        metavar=names,
        action="append",
        default=[],
        help="model to compare; can be repeated",
    )
    add("-o", "--output", metavar="FOLDER", default="", help="folder for the report")
    add("--json", action="store_true", help="print report.json instead of a table")


def run(args: argparse.Namespace) -> int:
    request = request_of(args)
    view = ProgressLine(sys.stderr)
    try:
        ask(request, view)
    except KeyboardInterrupt:
        view.end()
        print("interrupted; responses are kept: run the same command to continue", file=sys.stderr)
        return EXIT_INTERRUPTED
    finally:
        view.end()
    report = read_report(Path(request["out"]))
    print(report.path.read_text("utf-8") if args.json else "\n".join(outcome_text(report)))
    print(f"report: {shown(report.path.with_suffix('.md'))}", file=sys.stderr)
    return EXIT_DONE


def request_of(args: argparse.Namespace) -> dict[str, Any]:
    """What the child is asked to do. Raises UserError for whatever is wrong with the arguments."""
    if args.samples < 1 or args.limit < 0 or args.seed < 0:
        raise UserError("--samples must be at least 1; --limit and --seed must not be negative")
    if not Path(args.prompts).exists():
        raise UserError("prompt file not found", path=args.prompts)
    found = None if args.model.endswith(GGUF) else _run(args.model)
    preset = load(str(found.preset_file)).preset if found else None
    settings = preset.evaluate if preset else Evaluate()
    checker = settings.checker if args.checker is None else words_of(args.checker)
    if checker:
        find_program(checker)
    own_suffix = settings.checker_suffix if args.checker is None else ""
    return {
        "models": models_of(args.model, args.baseline, found),
        "prompts": args.prompts,
        "out": str(out_of(args, found)),
        "preset": str(found.preset_file) if found else "",
        "checker": checker,
        "suffix": own_suffix if args.suffix is None else args.suffix,
        "extract": settings.extract,
        "timeout_s": settings.timeout,
        "samples": args.samples,
        "limit": args.limit,
        "seed": args.seed,
        "perplexity": settings.perplexity,
    }


def words_of(words: Sequence[str]) -> list[str]:
    """The checker's words; a single text is taken apart as a shell would, and none runs.

    Raises UserError for a checker that no preset would take either.
    """
    try:
        command = shlex.split(words[0]) if len(words) == 1 else list(words)
        return checker_words(command)
    except InvalidValue as error:
        raise UserError(f"--checker: {error.message}", hint=error.hint) from None
    except ValueError as error:
        raise UserError(f"--checker: {error}") from None


def models_of(model: str, baselines: Sequence[str], found: RunFolder | None) -> dict[str, str]:
    """Name -> file or endpoint; first the one that is to be judged."""
    first = _file(model) if found is None else served_gguf(found)
    models = {found.name if found else Path(model).stem: str(first)}
    for name in dict.fromkeys(baselines):
        if name in models:
            raise UserError(f"'{name}' is listed twice", hint="choose a different --baseline")
        models[name] = _baseline(name, found)
    return models


def _baseline(name: str, found: RunFolder | None) -> str:
    if name.startswith(ENDPOINTS):
        return name
    if name == BASE:
        if found is None:
            raise UserError(
                "--baseline base needs a run", hint="give the base model's .gguf file instead"
            )
        return str(base_gguf(found))
    return str(_file(name) if name.endswith(GGUF) else served_gguf(_run(name)))


def out_of(args: argparse.Namespace, found: RunFolder | None) -> Path:
    """The folder of the report: --output, in the run's own, or here."""
    name = f"evaluation-{folder.plain_name(Path(args.prompts).stem)}"
    out = Path(args.output) if args.output else (found.path if found else Path()) / name
    if out.exists() and not out.is_dir():
        raise UserError("is not a folder", path=out, hint="choose another --output")
    if found and out.resolve() == found.evaluation.resolve():
        raise UserError(
            "contains the run's own evaluation", path=out, hint="choose another --output"
        )
    return out


def ask(request: dict[str, Any], view: ProgressLine) -> None:
    """Have the child do it. Raises UserError or ChildDied in one line."""
    passed: dict[str, int] = {}
    with JsonChild([*CHILD, json.dumps(request)]) as child:
        for at in child.messages():
            if "weighed" in at:
                view.show(f"{at['model']}: perplexity, {at['weighed']} of {at['total']} responses")
            elif "problem" not in at:
                name = at["model"]
                passed[name] = passed.get(name, 0) + (at["passed"] is True)
                view.show(f"{name}: {at['done']} of {at['total']} done, {passed[name]} passed")
    if at["problem"]:
        error = UserError(str(at["problem"]))
        error.exit_status = at["status"]
        raise error


def outcome_text(report: Report) -> list[str]:
    """The table of the headline figures, a column a model, then what was gained."""
    models = list(report.models.values())
    rows = [["", *(model.name for model in models)]]
    for key, label in LABELS.items():
        cells = [_cell(model, key) for model in models]
        if any(cells) and (key != "not_measured" or set(cells) != {"0"}):
            rows.append([label, *cells])
    gains = [
        _gain(report.subject, name, test) for name, test in report.gains.items() if test is not None
    ]
    return [*table(rows), *gains]


def _cell(model: ModelReport, key: str) -> str:
    value = model.headline.get(key)
    if value is None:
        return ""
    low, high = (model.headline.get(f"{key}_{end}") for end in ("low", "high"))
    between = "" if low is None or high is None else f" ({low:.3f} to {high:.3f})"
    return f"{value:.3f}{between}" if key in INTERVALS else f"{value:g}"


def _gain(subject: str, other: str, test: PairedTest) -> str:
    gain = f"{test.gain.value:+.3f} ({test.gain.low:+.3f} to {test.gain.high:+.3f})"
    names = f"{one_line(subject)} vs. {one_line(other)}"
    return f"{names}: {gain}, p {p_value_text(test.p_value)}"


def _file(name: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise UserError(f"file not found: '{name}'", hint="run `workbench runs` to list the runs")
    return path


def _run(name: str) -> RunFolder:
    return folder.find(folder.runs_root(), name)
