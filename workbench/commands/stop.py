"""Ask a run to stop at its next safe point, with a checkpoint, and wait until it has."""

from __future__ import annotations

import argparse
import sys

from workbench.errors import EXIT_DONE
from workbench.run import folder, launch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="name or folder of the run")


def run(args: argparse.Namespace) -> int:
    found = folder.find(folder.runs_root(), args.run)
    if launch.stop(found):
        said = f"{found.name} has stopped; go on: workbench resume {found.name}"
    else:
        said = f"nobody works on {found.name}; there is nothing to stop"
    print(said, file=sys.stderr)
    return EXIT_DONE
