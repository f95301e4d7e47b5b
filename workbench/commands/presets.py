"""List presets and their descriptions: first those in ./presets, then the built-in ones."""

from __future__ import annotations

import argparse
import sys

from workbench.core.errors import EXIT_DONE
from workbench.core.text import table
from workbench.preset.lookup import list_presets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def run(args: argparse.Namespace) -> int:
    lines = table(list_presets())
    print(
        "\n".join(lines) if lines else "no presets found", file=sys.stdout if lines else sys.stderr
    )
    return EXIT_DONE
