"""Always the newest weights of a run: looked for cheaply, made ready when there are other ones."""

from __future__ import annotations

from collections.abc import Callable

from workbench.runner.checkpoint_model import Ready, make_ready
from workbench.run.checkpoints import Checkpoint, newest, saved_last_ns
from workbench.run.folder import RunFolder


class Following:
    """Begins with `ready`; `newer` gives what has come after it, once."""

    def __init__(self, run: RunFolder, kind: str, ready: Ready) -> None:
        self.run, self.kind, self.ready = run, kind, ready
        self._looked_at = 0

    def newer(self, doing: Callable[[str], None] = lambda words: None) -> Ready | None:
        """The newest weights made ready, when they are other ones than before.

        Costs a few `stat` while training has saved nothing. Raises as `make_ready`, and then again
        only after the next save.
        """
        saved = saved_last_ns(self.run)
        if saved == self._looked_at:
            return None
        self._looked_at = saved
        latest = newest(self.run)
        if latest is None or same(latest, self.ready.checkpoint):
            return None
        self.ready = make_ready(self.run, latest, self.kind, doing=doing)
        return self.ready


def same(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether they are the same weights: of one step of one stage."""
    at_step = one.step == other.step and one.step > 0
    return one.stage == other.stage and (at_step or one.saved_ns == other.saved_ns)
