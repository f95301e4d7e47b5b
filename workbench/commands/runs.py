"""List the runs, newest last: status, stage, step, best validation loss and last update.

With run names, compare those runs in one table: preset keys that differ, losses, file sizes and
evaluation metrics, and the prompts that newly pass or newly fail in the first run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from workbench.core.errors import EXIT_DONE
from workbench.core.text import one_line, table
from workbench.reports.run_overview import Overview, overview
from workbench.run import folder

if TYPE_CHECKING:
    from workbench.reports.cases import Case
    from workbench.reports.run_comparison import Change, Comparison

HEADS = ("RUN", "STATUS", "STAGE", "STEP", "BEST VAL LOSS", "UPDATED")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("runs", metavar="RUN", nargs="*", help="runs to compare; the first against the others")
    add("--json", action="store_true", help="print as JSON")


def run(args: argparse.Namespace) -> int:
    if args.runs:
        return _compare(args.runs, args.json)
    found = [overview(run) for run in folder.list_runs(folder.runs_root())]
    if args.json:
        print(json.dumps([asdict(view) for view in found], indent=2, ensure_ascii=False))
    elif found:
        print("\n".join(listing(found)))
    else:
        print(f"no runs in {one_line(str(folder.runs_root()))} yet", file=sys.stderr)
    return EXIT_DONE


def listing(views: Sequence[Overview]) -> list[str]:
    """The table's lines, with the reason below each run that failed or died."""
    rows = [HEADS, *(_row(view) for view in views)]
    reasons = ["", *(_reason(view) for view in views)]
    lines = []
    for line, reason in zip(table(rows), reasons, strict=True):
        lines += [line, f"  {reason}"] if reason else [line]
    return lines


def age(seconds: float | None) -> str:
    """`just now`, `5 min ago`, `3 h ago`, `2 days ago`; `-` where nothing was said yet."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min ago"
    return f"{seconds / 3600:.0f} h ago" if seconds < 172800 else f"{seconds / 86400:.0f} days ago"


def _compare(names: Sequence[str], as_json: bool) -> int:
    from workbench.reports.comparison_text import lines
    from workbench.reports.run_comparison import compare

    root = folder.runs_root()
    found = compare([folder.find(root, name) for name in names])
    if as_json:
        print(json.dumps(_json(found), indent=2, ensure_ascii=False))
    else:
        print("\n".join(lines(found)))
    return EXIT_DONE


def _json(found: Comparison) -> dict[str, Any]:
    rows = [
        {"section": row.section, "name": row.name, "values": list(row.values)} for row in found.rows
    ]
    changes = [_change_json(change) for change in found.changes]
    told = {"runs": list(found.names), "rows": rows, "evaluation": changes}
    return told | {"notes": list(found.notes)}


def _change_json(change: Change) -> dict[str, Any]:
    return {
        "model": change.models[0],
        "against": f"{change.run} {change.models[1]}",
        "sentence": change.against.sentence,
        "p_value": change.against.p_value,
        "newly_failing": [_case_json(case) for case in change.newly_failing],
        "newly_passing": [_case_json(case) for case in change.newly_passing],
    }


def _case_json(case: Case) -> dict[str, str]:
    return {"place": case.place, "category": case.category, "prompt": case.prompt}


def _row(view: Overview) -> tuple[str, ...]:
    state = f"running ({view.pid})" if view.standing == "running" else view.standing
    steps = f"{view.step:,}/{view.steps:,}" if view.steps else "-"
    loss = "-" if view.best_loss is None else f"{view.best_loss:.3f}"
    return (view.name, state, view.stage or "-", steps, loss, age(view.age_s))


def _reason(view: Overview) -> str:
    match view.standing:
        case "failed":
            return one_line(view.error, 200)
        case "died":
            return f"the worker died; resume it: workbench resume {view.name}"
    return ""
