"""Watch a run from its first event on. Ctrl+C detaches and leaves it running."""

from __future__ import annotations

import argparse

from workbench.console import run_session
from workbench.run import folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="name or folder of a run")
    parser.add_argument("--json", action="store_true", help="print events as JSON lines on stdout")


def run(args: argparse.Namespace) -> int:
    return run_session.attach(folder.find(folder.runs_root(), args.run), as_json=args.json)
