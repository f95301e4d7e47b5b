"""A run's checkpoint made ready to be talked to, by a child process, and what came of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from workbench.core.subprocesses__children import told
from workbench.core.errors import UserError
from workbench.run.checkpoints import Checkpoint
from workbench.run.folder import RunFolder

CHILD = (sys.executable, "-m", "workbench.pipeline.export.checkpoint_process")
DEFAULT_TYPE = "q8_0"


@dataclass(frozen=True)
class Ready:
    """What to open: `base`, a GGUF whose SHA-256 is `sha256`, with the LoRA GGUF `adapter` on it.

    `adapter` is None where the base holds everything.
    """

    checkpoint: Checkpoint
    base: Path
    sha256: str
    adapter: Path | None


def make_ready(
    run: RunFolder,
    checkpoint: Checkpoint,
    kind: str = DEFAULT_TYPE,
    *,
    doing: Callable[[str], None] = lambda words: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Ready:
    """The files for the checkpoint, its base in the GGUF type `kind`.

    `doing` is told in words what takes longer. Raises UserError in one line when it cannot be done,
    ChildDied when the child dies of it, Interrupted when `stopping()` says so.
    """
    command = [*CHILD, str(run.path), checkpoint.stage, checkpoint.name, kind]
    with closing(told(command, stopping)) as lines:
        for fields in lines:
            if "doing" in fields:
                doing(f"{fields['doing']}: {fields['done']} of {fields['total']} tensors")
    if fields["problem"]:
        raise UserError(str(fields["problem"]))
    adapter = Path(fields["adapter"]) if fields["adapter"] else None
    return Ready(checkpoint, Path(fields["base"]), str(fields["sha256"]), adapter)
