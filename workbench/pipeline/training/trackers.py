"""A training stage told to trackers besides the event log: TensorBoard files, or what accelerate
knows by name. A tracker that fails is left out from there on, and said; training goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.tracking import LOGGER_TYPE_TO_CLASS

from workbench.core.errors import UserError
from workbench.run import events
from workbench.run.events import Emit, Event

TENSORBOARD = "tensorboard"


@contextmanager
def with_trackers(emit: Emit, names: Sequence[str], stage: str, folder: Path) -> Iterator[Emit]:
    """An emit that tells the trackers too, until the block ends.

    TensorBoard's files are `folder/stage/*`. Raises UserError for a tracker that is not installed.
    """
    trackers = {name: _opened(name, stage, folder) for name in names}

    def tell(event: Event) -> None:
        emit(event)
        found = figures(event)
        if found is None:
            return
        values, step = found
        for name in list(trackers):
            try:
                trackers[name].log(values, step=step)
            except Exception as error:  # noqa: BLE001 - theirs, and no reason to lose a training
                del trackers[name]
                message = f"watch.trackers: {name} is disabled from here on: {error!r}"
                emit(events.Note(message=message, level="warning"))

    try:
        yield tell
    finally:
        for tracker in trackers.values():
            tracker.finish()


def figures(event: Event) -> tuple[dict[str, float], int] | None:
    """(name -> figure, step) of an event that has figures, else None."""
    match event:
        case events.Step():
            names = ("loss", "learning_rate", "gradient_norm", "tokens_per_second", "memory_bytes")
            return {f"train/{name}": getattr(event, name) for name in names}, event.step
        case events.Validated():
            return {"validation/loss": event.loss}, event.step
        case events.GeneralMeasured():
            return {"general/loss": event.loss}, event.step
    return None


class TensorBoard:
    """TensorBoard's files by tensorboardX, which needs no TensorBoard.

    Not by accelerate: it asks torch for its writer first, and what torch says of a missing
    TensorBoard is another thing when it is asked again, in the next stage.
    """

    def __init__(self, folder: Path) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder))

    def log(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def finish(self) -> None:
        self._writer.close()


def _opened(name: str, stage: str, folder: Path) -> Any:
    if name == TENSORBOARD:
        return TensorBoard(folder / stage)
    PartialState()  # accelerate's trackers ask it which process they are in
    kind = LOGGER_TYPE_TO_CLASS[name]
    where = {"logging_dir": folder} if kind.requires_logging_directory else {}
    try:
        tracker = kind(stage, **where)
        tracker.start()
    except ImportError as error:
        hint = f"install it, or remove it: {error}"
        raise UserError(f"watch.trackers: {name} is not installed", hint=hint) from error
    return tracker
