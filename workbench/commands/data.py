"""Read, check and summarise a data set: a file, a folder or a glob; FILE:LINE for each fault.

The exit status is 0 when training could take the data as they are, else 2.
"""

from __future__ import annotations

import argparse
import json
import sys

from workbench.commands import data_show
from workbench.dataset.formats import FORMATS
from workbench.dataset.read import read_source, require
from workbench.dataset.report import summarise
from workbench.errors import EXIT_DONE, EXIT_INPUT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("path", metavar="PATH", help="the examples: a file, a folder or a glob")
    add("--format", metavar="F", default="auto", help="auto, " + ", ".join(FORMATS))
    add("--json", action="store_true", help="everything as one JSON object on stdout")
    add("--preset", metavar="NAME", default="", help="with --show: whose model reads the row")
    add("--show", metavar="N", type=int, help="print the tokens of row N, and which are learnt")


def run(args: argparse.Namespace) -> int:
    if args.show is not None:
        return data_show.run(args)
    reading = read_source(args.path, args.format)
    if not reading.rows and not args.json:
        require(reading, args.path)
    summary = summarise(reading, args.path)
    if args.json:
        print(json.dumps(summary.to_json(), indent=2, ensure_ascii=False))
    else:
        print("\n".join(summary.lines()))
    if summary.usable:
        return EXIT_DONE
    if not args.json:
        print("training would refuse these data: mend the faults above", file=sys.stderr)
    return EXIT_INPUT
