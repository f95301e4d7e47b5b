"""A run's newest checkpoint as a model to chat with, exported by a child process.

New weights are looked for cheaply and exported only if they differ from the last ones.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workbench.core.errors import UserError
from workbench.core.subprocesses import JsonChild
from workbench.run.checkpoints import Checkpoint, newest, saved_last_ns
from workbench.run.folder import RunFolder

CHILD = (sys.executable, "-m", "workbench.pipeline.export.checkpoint_process")
DEFAULT_TYPE = "q8_0"


@dataclass(frozen=True)
class CheckpointModel:
    """What to open: `base`, a GGUF whose SHA-256 is `sha256`, with the LoRA GGUF `adapter` on it.

    `adapter` is None where the base holds everything.
    """

    checkpoint: Checkpoint
    base: Path
    sha256: str
    adapter: Path | None


def export_checkpoint(
    run: RunFolder,
    checkpoint: Checkpoint,
    kind: str = DEFAULT_TYPE,
    *,
    doing: Callable[[str], None] = lambda words: None,
    stopping: Callable[[], bool] = lambda: False,
) -> CheckpointModel:
    """The files for the checkpoint, its base in the GGUF type `kind`.

    `doing` is told in words what takes longer. Raises UserError in one line when it cannot be done,
    ChildDied when the child dies of it, Interrupted when `stopping()` says so.
    """
    command = [*CHILD, str(run.path), checkpoint.stage, checkpoint.name, kind]
    with JsonChild(command) as child:
        for fields in child.messages(stopping):
            if "doing" in fields:
                doing(f"{fields['doing']}: {fields['done']} of {fields['total']} tensors")
    if fields["problem"]:
        raise UserError(str(fields["problem"]))
    adapter = Path(fields["adapter"]) if fields["adapter"] else None
    return CheckpointModel(checkpoint, Path(fields["base"]), str(fields["sha256"]), adapter)


class LatestCheckpoint:
    """Begins with `ready`; `newer` gives what has come after it, once."""

    def __init__(self, run: RunFolder, kind: str, ready: CheckpointModel) -> None:
        self.run, self.kind, self.ready = run, kind, ready
        self._looked_at = 0

    def newer(self, doing: Callable[[str], None] = lambda words: None) -> CheckpointModel | None:
        """The newest weights made ready, when they are other ones than before.

        Costs a few `stat` while training has saved nothing. Raises as `export_checkpoint`, and
        again only after the next save.
        """
        saved = saved_last_ns(self.run)
        if saved == self._looked_at:
            return None
        self._looked_at = saved
        latest = newest(self.run)
        if latest is None or same_weights(latest, self.ready.checkpoint):
            return None
        self.ready = export_checkpoint(self.run, latest, self.kind, doing=doing)
        return self.ready


def same_weights(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether they are the same weights: of one step of one stage."""
    at_step = one.step == other.step and one.step > 0
    return one.stage == other.stage and (at_step or one.saved_ns == other.saved_ns)
