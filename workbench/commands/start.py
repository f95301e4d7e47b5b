"""`workbench` without arguments: the screen on a terminal, else what is here and how to go on.

What only the page needs is imported for the page: the screen is to be there at once.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys

from workbench import __version__
from workbench.core.errors import EXIT_DONE
from workbench.core.text import table

SHOWN_RUNS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def run(args: argparse.Namespace) -> int:
    if _is_seen():
        gc.disable()  # nothing of what is imported now is ever garbage; the app turns it on again
        from workbench.tui.app import main

        return main()
    print("\n".join(page()))
    return EXIT_DONE


def _is_seen() -> bool:
    """On a terminal, or in a browser through `textual serve`, which names its driver."""
    return "TEXTUAL_DRIVER" in os.environ or (sys.stdin.isatty() and sys.stdout.isatty())


def page() -> list[str]:
    """The lines of the start page: presets, the newest runs, and the next commands."""
    from workbench.commands.runs import listing
    from workbench.preset.lookup import list_presets
    from workbench.reports.run_overview import overview
    from workbench.run import folder

    runs = folder.list_runs(folder.runs_root())
    lines = [f"workbench {__version__}", "", "Presets"]
    lines += [f"  {line}" for line in table(list_presets()) or ["none"]]
    if runs:
        hidden = len(runs) - SHOWN_RUNS
        more = f" ({hidden} older runs: workbench runs)" if hidden > 0 else ""
        lines += ["", f"Runs{more}"]
        lines += [f"  {line}" for line in listing([overview(run) for run in runs[-SHOWN_RUNS:]])]
    return [*lines, "", "Next steps", *_next(runs[-1].name if runs else "")]


def _next(newest: str) -> list[str]:
    rows = [("  workbench --preset quickstart", "fine-tune the bundled small model")]
    if newest:
        rows.append((f"  workbench chat {newest}", "chat with the newest run's model"))
        rows.append((f"  workbench attach {newest}", "watch it, or replay its log"))
    rows.append(("  workbench --help", "show all commands"))
    return ["  " + line for line in table([(a.strip(), b) for a, b in rows])]
