"""Describe every preset key: type, default and meaning. With SECTION, only that section."""

from __future__ import annotations

import argparse

from workbench.core.errors import EXIT_DONE
from workbench.preset.reference import reference_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "section",
        metavar="SECTION",
        nargs="?",
        default="",
        help="section of the preset, such as train",
    )


def run(args: argparse.Namespace) -> int:
    print(reference_text(args.section), end="")
    return EXIT_DONE
