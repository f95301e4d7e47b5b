"""Check and summarize a dataset: a file, a folder or a glob. Errors are shown as FILE:LINE.

With --preset, also check what depends on the model: rows that exceed the sequence length, rows that
the chat template rejects, special tokens in the text, and responses that fail the preset's checker.
PATH is then optional and defaults to the preset's own data.
Exit status: 0 if training would accept the data as it is, otherwise 2.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from workbench.commands import data_show
from workbench.commands.data_preset import PresetChecks, source_options, split_keys
from workbench.console.progress import counted
from workbench.core.errors import EXIT_DONE, EXIT_INPUT, UserError
from workbench.core.files import write_json
from workbench.core.text import one_line, quantity
from workbench.dataset.checks.findings import FindingFilter, check_codes
from workbench.dataset.checks.fixes import fix, fixed_name
from workbench.dataset.checks.repeated_rows import near_duplicate_findings
from workbench.dataset.checks.sarif import to_sarif
from workbench.dataset.checks.summary import DatasetProfiler, DatasetSummary
from workbench.dataset.formats import FORMATS
from workbench.dataset.reader_options import ReaderOptions
from workbench.dataset.readers.topic_tree import scaffold
from workbench.dataset.rows import Fault, Row
from workbench.dataset.sources import (
    ReadPlan,
    iterate,
    plan_source,
    read_source,
    read_summary,
    require,
)

NEAR_ROWS = 20_000  # beyond, near duplicates are sought on demand only

SET_HELP = "set a [[data.source]] or preset key, such as fields.prompt=question; can be repeated"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("path", metavar="PATH", nargs="?", help="file, folder or glob with the examples")
    add("--format", metavar="F", default="auto", help="data format: auto, " + ", ".join(FORMATS))
    add("--set", metavar="KEY=VALUE", action="append", default=[], help=SET_HELP)
    add("--preset", metavar="NAME|FILE", help="check the data for this preset's model")
    add("--held-out", metavar="PATH", help="report rows with an opening prompt from PATH as leaks")
    add("--near", action="store_true", help=f"find near duplicates beyond {NEAR_ROWS:,} rows too")
    add("--no-check", action="store_true", help="do not run the preset's checker")
    add("--recheck", action="store_true", help="rerun the checker on responses already checked")
    add(
        "--only",
        metavar="CODE,…",
        type=_codes,
        default=(),
        help="show only these findings, in full",
    )
    add("--ignore", metavar="CODE,…", type=_codes, default=(), help="hide these findings")
    add("--strict", action="store_true", help="exit with status 2 on warnings too")
    add("--json", action="store_true", help="print everything as one JSON object on stdout")
    add("--fix", action="store_true", help="write a fixed copy of the data and check that instead")
    add("-o", metavar="FILE", dest="output", help="file for --fix (default: NAME.fixed.SUFFIX)")
    add("--scaffold", action="store_true", help="create the files missing from a topic tree")
    add("--sarif", metavar="FILE", help="write the findings as a SARIF 2.1.0 log")
    add("--show", metavar="N", type=int, help="print the tokens of row N and exit; needs --preset")


def run(args: argparse.Namespace) -> int:
    if args.scaffold:
        made = scaffold(Path(args.path or "."))
        print("\n".join(f"created  {path}" for path in made) or "no files are missing")
        return EXIT_DONE
    if args.show is not None:
        return data_show.run(args)
    if args.fix or args.output:
        args.path = str(_fix(args))
    summary = look(args)
    if args.sarif:
        write_json(Path(args.sarif), to_sarif(summary.findings))
    if args.json:
        print(json.dumps(summary.to_json(), indent=2, ensure_ascii=False))
    else:
        _tell(summary, every=bool(args.only))
    strict = args.strict and any(summary.findings.of(weight) for weight in ("error", "warning"))
    return EXIT_DONE if summary.usable and not strict else EXIT_INPUT


def look(args: argparse.Namespace) -> DatasetSummary:
    """Everything that is found out about the data that the arguments name."""
    wanted = FindingFilter(check_codes(args.only), check_codes(args.ignore))
    of_source, of_preset = split_keys(args.set, args.preset)
    eyes = PresetChecks.of(args.preset, of_preset) if args.preset else PresetChecks()
    data = Data(_plans(args, source_options(of_source), eyes))
    held_out = _held_out(args.held_out or eyes.held_out)
    survey = DatasetProfiler(wanted, eyes.special, held_out)
    for entry in counted(data.read(), "rows read"):
        survey.add(entry)
    survey.close()
    notes = list(eyes.notes)
    if args.near or survey.rows <= NEAR_ROWS:
        survey.findings.add(near_duplicate_findings(list(data.rows()), held_out))
    else:
        notes.append(f"near duplicates not checked in {quantity(survey.rows, 'row')}: use --near")
    survey.findings.add(eyes.tokenized(data.rows, notes))
    if eyes.judge and not args.no_check:
        verdicts = list(counted(eyes.refused(data.rows(), args.recheck), "responses checked"))
        refused = [found for found in verdicts if found]
        survey.findings.add(refused)
        checked = quantity(len(verdicts), "response")
        notes.append(f"checked         {checked}, {len(refused):,} failed")
    return survey.summary(args.path or f"preset {args.preset}", *data.told(), notes)


def _fix(args: argparse.Namespace) -> Path:
    """The new file, when it is written; what was mended goes to stderr, as the summary follows."""
    if not (args.fix and args.path):
        raise UserError("--fix needs a PATH, and -o needs --fix")
    source = Path(args.path)
    target = Path(args.output) if args.output else fixed_name(source)
    of_source, _ = split_keys(args.set, args.preset)
    fixed = fix(source, target, args.format, source_options(of_source))
    lines = [f"{one_line(str(target), 200)}: {quantity(len(fixed.done), 'fix')}"]
    lines += [*fixed.done.lines(every=bool(args.only)), *filter(None, [fixed.left])]
    print("\n".join(lines), file=sys.stderr)
    return target


class Data:
    """The rows of some sources, held in memory where they are few, else read again."""

    def __init__(self, plans: list[tuple[ReadPlan, str]]) -> None:
        self._plans = plans
        self._held: list[Row] | None = []

    def read(self) -> Iterator[Row | Fault]:
        """Every row and fault, from the files."""
        for plan, name in self._plans:
            for entry in chain(plan.faults, iterate(plan, name)):
                yield entry
                if self._held is not None and isinstance(entry, Row):
                    self._held.append(entry)
                    self._held = self._held if len(self._held) <= NEAR_ROWS else None

    def rows(self) -> Iterable[Row]:
        """Every row, once `read` has gone through them."""
        if self._held is not None:
            return self._held
        return (entry for entry in self.read() if isinstance(entry, Row))

    def told(self) -> tuple[str, str]:
        """The format and why it was taken."""
        if len(self._plans) == 1:
            return read_summary(self._plans[0][0])
        formats = [f"{name}: {read_summary(plan)[0]}" for plan, name in self._plans]
        return "mixed", ", ".join(formats)


def _plans(
    args: argparse.Namespace, options: ReaderOptions, eyes: PresetChecks
) -> list[tuple[ReadPlan, str]]:
    if args.path:
        return [(plan_source(args.path, args.format, options), "")]
    if not eyes.plans:
        raise UserError("PATH is missing", hint="give a file, folder or glob, or use --preset")
    return list(eyes.plans)


def _held_out(path: str) -> list[Row]:
    return require(read_source(path, answers=False), path).rows if path else []


def _tell(summary: DatasetSummary, every: bool) -> None:
    """The summary on stdout, the errors on stderr, as everywhere."""
    if summary.rows:
        print("\n".join(summary.lines(every)), flush=True)
    if lines := summary.error_lines():
        print("\n".join(lines), file=sys.stderr)
    elif count := summary.findings.fatal:
        what = "1 error is" if count == 1 else f"{count:,} errors are"
        print(f"{what} hidden by --only or --ignore", file=sys.stderr)


def _codes(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)
