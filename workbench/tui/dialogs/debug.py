"""What to paste into an issue: versions, terminal, sizes. No names of files or hosts."""

from __future__ import annotations

import os
import platform
import resource
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from workbench import __version__
from workbench.core.text import size, visible
from workbench.tui.dialogs.dialog import Dialog

if TYPE_CHECKING:
    from workbench.tui.host import Host

VARIABLES = ("TERM", "COLORTERM", "NO_COLOR", "LANG")


class Debug(Dialog[None]):
    """`y` copies it, Esc leaves."""

    BINDINGS: ClassVar[list[BindingType]] = [("y", "copy", "Copy"), ("q,f12", "leave", "Close")]

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(visible("\n".join(facts(self.app))), markup=False)
            yield Static("y copy   Esc close", markup=False, classes="hint")

    def action_copy(self) -> None:
        cast("Host", self.app).copy("\n".join(facts(self.app)), "debug information")


def facts(app: App[object]) -> list[str]:
    """The lines."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    multiplexer = "tmux" if "TMUX" in os.environ else "screen" if "STY" in os.environ else "none"
    return [
        f"workbench {__version__}, Textual {version('textual')}, Python {sys.version.split()[0]}",
        f"system {platform.system()} {platform.release()} {platform.machine()}",
        "terminal " + " ".join(f"{name}={os.environ.get(name, '-')}" for name in VARIABLES),
        f"size {app.size.width}x{app.size.height}, multiplexer {multiplexer}, "
        f"ssh {'yes' if 'SSH_CONNECTION' in os.environ else 'no'}",
        f"theme {app.theme}, peak memory {size(peak * unit)}",
        *_doing(app),
    ]


def _doing(app: App[object]) -> list[str]:
    """What the screen has at hand, in figures."""
    shown = cast("Host", app)
    runs = shown.watching.runs
    at_work = sum(shown.watching.at_work(run) for run in runs)
    panes = ", ".join(shown.pane_ids_in_view())
    return [
        f"runs {len(runs)}, running {at_work}, pinned {len(shown.pinned)}; in view {panes}"
        f"{' (zoomed)' if shown.zoomed else ''}; keys changed {len(shown.own_keys)}"
    ]
