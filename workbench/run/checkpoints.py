"""The weights that a run's training has saved so far, as one can ask for them by name.

`best`, `last` and `final` are a stage's adapters (or whole models, where all weights are trained);
`step-000040` is a checkpoint to resume from, of which training keeps the newest few. They come and
go while training works: what is listed may be gone a moment later.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workbench.core.errors import UserError
from workbench.core.text import did_you_mean
from workbench.run.folder import RunFolder
from workbench.run.log import skim
from workbench.run.state import RunState, StageState

SAVED = ("final", "best", "last")
STEP = "step-"


@dataclass(frozen=True)
class Checkpoint:
    """Saved weights of the training stage `stage`. `step` is 0 where the log does not tell.

    `saved_ns`: when they were sealed, as the file system counts; another save has another one.
    """

    stage: str
    name: str
    path: Path
    step: int
    saved_ns: int

    @property
    def label(self) -> str:
        """`sft/best, step 40`."""
        shown = f"{self.stage}/{self.name}"
        return f"{shown}, step {self.step}" if self.step and STEP not in self.name else shown


def checkpoints(run: RunFolder, *, with_steps: bool = True) -> list[Checkpoint]:
    """All there are: of the last stage first, and of a stage the steps after the adapters.

    `with_steps` False leaves the log unread, however long it is, and the steps of adapters at 0.
    """
    state = RunState()
    if with_steps:
        state.apply(skim(run.events_file))
    return [found for name in reversed(_stages(run)) for found in _of_stage(run, name, state)]


def find(run: RunFolder, wanted: str) -> Checkpoint:
    """The one called so: `best` (of the last stage that has one), or `sft/best`.

    Raises UserError with the names there are.
    """
    there = checkpoints(run)
    for one in there:
        if wanted in (one.name, f"{one.stage}/{one.name}"):
            return one
    if not there:
        hint = f"workbench attach {run.name} shows its progress"
        raise UserError("this run has not saved any weights yet", path=run.path, hint=hint)
    names = [one.name for one in there if one.stage == there[0].stage]
    raise UserError(f"no checkpoint '{wanted}'", path=run.path, hint=did_you_mean(wanted, names))


def newest(run: RunFolder) -> Checkpoint | None:
    """The weights of the latest save of the last stage that has any; None before there are any.

    Of those saved together an adapter comes before the checkpoint of the same step.
    """
    there = checkpoints(run)
    of_stage = [one for one in there if one.stage == there[0].stage]
    latest = max((one.step for one in of_stage), default=0)
    return next((one for one in of_stage if one.step == latest), None)


def saved_last_ns(run: RunFolder) -> int:
    """When the run last saved weights, as the file system counts; 0 before that. A few `stat`."""
    folders = [*run.path.glob("training/*/adapters/*"), *run.path.glob(f"training/*/{STEP}*")]
    return max((_sealed_ns(folder) or 0 for folder in folders), default=0)


def _stages(run: RunFolder) -> list[str]:
    """Names of the training stages, in their order; none for a preset that cannot be read."""
    try:
        stages = tomllib.loads(run.preset_file.read_text("utf-8"))["train"]
        return [str(stage["name"]) for stage in stages]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _of_stage(run: RunFolder, name: str, state: RunState) -> Iterator[Checkpoint]:
    folder = run.training(name)
    stage = state.stages.get(f"train:{name}")
    for saved in SAVED:
        path = folder / "adapters" / saved
        if (sealed := _sealed_ns(path)) is not None:
            yield Checkpoint(name, saved, path, _step_of(saved, stage), sealed)
    for path in sorted(folder.glob(f"{STEP}*"), reverse=True):
        number = path.name.removeprefix(STEP)
        if number.isdecimal() and (sealed := _sealed_ns(path)) is not None:
            yield Checkpoint(name, path.name, path, int(number), sealed)


def _step_of(saved: str, stage: StageState | None) -> int:
    """The step that the log gives to a saved adapter."""
    if stage is None:
        return 0
    if saved == "best":
        return next((v.step for v in reversed(stage.validations) if v.best), 0)
    if saved == "last":
        return stage.saved_step
    return stage.steps[-1].step if stage.steps else 0


def _sealed_ns(folder: Path) -> int | None:
    """When its manifest, the last file of a whole folder, was written; None for none."""
    try:
        return (folder / "manifest.json").stat().st_mtime_ns
    except OSError:
        return None
