"""A run from a command: start or attach, follow to the end, and the exit status for it.

stdout carries what scripts read: the run's folder, alone, or JSON lines of which the last is
`{"kind":"exit","status":...,"run":...}`. Everything for the eye goes to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from workbench.console.views import JsonView, PlainView
from workbench.core.errors import EXIT_DONE, EXIT_INTERRUPTED, UserError
from workbench.core.subprocesses import let_go
from workbench.core.text import visible
from workbench.reports.run_summary import report
from workbench.run import launch, lock
from workbench.run.folder import RunFolder
from workbench.run.state import RunState
from workbench.runner.follower import Follower, Interrupts, Outcome, View, interrupted, outcome


def start_and_follow(
    run: RunFolder,
    stages: Sequence[str] = (),
    as_json: bool = False,
    summary: Callable[[RunFolder, RunState], list[str]] = report,
) -> int:
    """Start the run's worker and follow it to its end; returns the exit status.

    `summary` gives the lines that are told at a good end.
    """
    follower = Follower(run, view(as_json))
    follower.catch_up()
    with Interrupts() as interrupts:
        try:
            process = launch.start(run, stages, launch.WORKER)
            _name(run, as_json)
            follower.own(lambda: process.poll() is None, interrupts)
        finally:
            follower.view.close()
    cut_short = interrupts.count > 1 and follower.ending is None
    if follower.left or cut_short:
        ended = interrupted(run, follower.state, at_work=process.poll() is None)
    else:
        ended = outcome(run, follower.state, follower.ending, process.returncode)
    return _finish(follower, ended, as_json, summary)


def start_detached(run: RunFolder, stages: Sequence[str] = (), as_json: bool = False) -> int:
    """Start the run's worker and leave it at work; one that ends at once is told of."""
    follower = Follower(run, view(as_json))
    follower.catch_up()
    process = launch.start(run, stages, launch.WORKER)
    if process.poll() is not None:
        with Interrupts() as interrupts:
            follower.own(lambda: False, interrupts)
        follower.view.close()
        ended = outcome(run, follower.state, follower.ending, process.returncode)
        return _finish(follower, ended, as_json)
    follower.view.close()
    let_go(process)
    if as_json:
        _print_json({"kind": "detached", "pid": process.pid, "run": str(run.path)})
    else:
        _name(run, as_json)
        print(f"running in the background; watch it: workbench attach {run.name}", file=sys.stderr)
    return EXIT_DONE


def attach(run: RunFolder, as_json: bool = False) -> int:
    """Watch from the first event to the end of the worker, or until Ctrl+C."""
    follower = Follower(run, view(as_json))
    with Interrupts() as interrupts:
        try:
            follower.watch(lambda: lock.owner(run.lock_file) is not None, interrupts)
        finally:
            follower.view.close()
    if follower.left:
        ended = Outcome(EXIT_INTERRUPTED, f"detached; {run.name} is still running")
    elif follower.state.last_seq == 0:
        raise UserError(f"{run.name} has not started", hint=f"workbench resume {run.name}")
    else:
        ended = outcome(run, follower.state, follower.ending)
    return _finish(follower, ended, as_json)


def view(as_json: bool) -> View:
    """The view that fits where stderr goes."""
    if as_json:
        return JsonView(sys.stdout, sys.stderr)
    if not sys.stderr.isatty():
        return PlainView(sys.stderr)
    from rich.console import Console

    from workbench.console.live_view import LiveView

    return LiveView(Console(stderr=True, highlight=False, markup=False, emoji=False))


def _finish(
    follower: Follower,
    ended: Outcome,
    as_json: bool,
    summary: Callable[[RunFolder, RunState], list[str]] = report,
) -> int:
    """The last words: report or reason on stderr, the exit line on stdout where JSON is asked."""
    run = follower.run
    if ended.status == EXIT_DONE and not as_json:
        print("\n".join(summary(run, follower.state)), file=sys.stderr)
    if ended.line:
        print(visible(ended.line), file=sys.stderr, flush=True)
    if as_json:
        _print_json({"kind": "exit", "status": ended.status, "run": str(run.path)})
    return ended.status


def _name(run: RunFolder, as_json: bool) -> None:
    if not as_json:
        print(_shown(run.path), flush=True)


def _shown(path: Path) -> str:
    """The path as scripts take it; one that would break a line apart is escaped."""
    return str(path) if "\n" not in str(path) else visible(str(path)).replace("\n", "\\n")


def _print_json(fields: dict[str, Any]) -> None:
    print(json.dumps(fields, ensure_ascii=False), flush=True)
