"""Stop a run at its next safe point, save a checkpoint, and wait until it has stopped."""

from __future__ import annotations

import argparse
import sys

from workbench.core.errors import EXIT_DONE
from workbench.run import folder, launch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="name or folder of a run")


def run(args: argparse.Namespace) -> int:
    found = folder.find(folder.runs_root(), args.run)
    if launch.stop(found):
        said = f"{found.name} has stopped; resume it: workbench resume {found.name}"
    else:
        said = f"nothing to stop: {found.name} is not running"
    print(said, file=sys.stderr)
    return EXIT_DONE
