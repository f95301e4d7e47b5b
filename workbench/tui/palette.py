"""The command palette: every action of every pane by its name, with its key."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from workbench.tui.actions import Action
from workbench.tui.keymap import all_actions, keys_of
from workbench.tui.pane_list import PANES

if TYPE_CHECKING:
    from workbench.tui.host import Host


class Commands(Provider):
    """Panes to go to, and actions to run; an action of another pane goes there first."""

    @property
    def _host(self) -> Host:
        return cast("Host", self.app)

    async def discover(self) -> Hits:
        for title, help, command in self._all():
            yield DiscoveryHit(title, command, help=help)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for title, help, command in self._all():
            score = matcher.match(title)
            if score > 0:
                yield Hit(score, matcher.highlight(title), command, help=help)

    def _all(self) -> list[tuple[str, str, Callable[[], object]]]:
        host = self._host
        panes: list[tuple[str, str, Callable[[], object]]] = [
            (
                f"Go to {spec.title}  ({spec.key})",
                _first(spec.load().HELP),
                partial(host.go, spec.id),
            )
            for spec in PANES
        ]
        actions = [action for action in all_actions() if action.palette]
        return panes + [(self._title(one), one.help, partial(host.invoke, one)) for one in actions]

    def _title(self, action: Action) -> str:
        keys = " or ".join(keys_of(action, self._host.own_keys))
        where = next((spec.title + ": " for spec in PANES if spec.id == action.pane), "")
        return f"{where}{action.title}  ({keys})"


def _first(text: str) -> str:
    """The first sentence."""
    return text.partition(". ")[0].removesuffix(".") + "."
