"""The panes, in the order of their keys. A pane's module is imported when it is first shown."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import cast

from workbench.tui.pane import Pane


@dataclass(frozen=True)
class PaneSpec:
    """Where a pane is found: `id`, key (one digit), title, and `module:Class` of the widget.

    `beside` names the pane that a wide screen shows next to it; "" gives it the whole width.
    """

    id: str
    key: str
    title: str
    place: str
    beside: str = ""

    def load(self) -> type[Pane]:
        """The pane's class; imports its module."""
        module, _, name = self.place.partition(":")
        return cast("type[Pane]", getattr(import_module(module), name))


PANES = (
    PaneSpec("runs", "1", "Runs", "workbench.tui.panes.runs.pane:RunsPane", beside="train"),
    PaneSpec("data", "2", "Data", "workbench.tui.panes.data.pane:DataPane"),
    PaneSpec("preset", "3", "Preset", "workbench.tui.panes.preset.pane:PresetPane"),
    PaneSpec("train", "4", "Train", "workbench.tui.panes.train.pane:TrainPane", beside="runs"),
    PaneSpec("export", "5", "Export", "workbench.tui.panes.export.pane:ExportPane"),
    PaneSpec("chat", "6", "Chat", "workbench.tui.panes.chat.pane:ChatPane"),
    PaneSpec("evaluate", "7", "Evaluate", "workbench.tui.panes.evaluate.pane:EvaluatePane"),
)


def spec(pane_id: str) -> PaneSpec:
    """The pane called so. Raises KeyError for one there is not."""
    for found in PANES:
        if found.id == pane_id:
            return found
    raise KeyError(pane_id)
