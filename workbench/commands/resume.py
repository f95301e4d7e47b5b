"""Resume a run where it stopped: keep finished stages, continue from the last checkpoint.

With --epochs +1 or --steps +100, extend the run's last training stage first.
"""

from __future__ import annotations

import argparse
import sys

from workbench.console import run_session
from workbench.run import folder, launch
from workbench.runner.frozen_preset import extend


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="name or folder of a run")
    parser.add_argument("--epochs", metavar="+N", default="", help="train N more epochs")
    parser.add_argument("--steps", metavar="+N", default="", help="train N more steps")
    parser.add_argument("--detach", action="store_true", help="start in the background and return")
    parser.add_argument("--json", action="store_true", help="print new events as JSON lines")


def run(args: argparse.Namespace) -> int:
    launch.refuse_other_ranks(args.detach)
    found = folder.find(folder.runs_root(), args.run)
    if args.epochs or args.steps:
        print(extend(found, args.epochs, args.steps), file=sys.stderr)
    if args.detach:
        return run_session.start_detached(found, as_json=args.json)
    return run_session.start_and_follow(found, as_json=args.json)
