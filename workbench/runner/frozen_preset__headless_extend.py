"""Make a run's training longer: its preset gets an extension, and the next resume goes on there.

Only the last training stage can be extended: what later ones learned stands on it. What comes
after it (export, evaluation) is done again, as its inputs change.
"""

from __future__ import annotations

import re

from workbench.core.errors import UserError
from workbench.core.files import write_atomic
from workbench.preset.loader import load
from workbench.preset.rendering import to_toml
from workbench.preset.schema__preset_stages import TRAIN
from workbench.run import lock
from workbench.run.folder import RunFolder
from workbench.run.log import read
from workbench.run.state import RunState, StageState
from workbench.core.text import quantity

MORE = re.compile(r"\+(\d+(?:\.\d+)?|\.\d+)")


def extend(run: RunFolder, epochs: str = "", steps: str = "") -> str:
    """Add `+N` epochs or steps to the run's preset; returns what was done, in words.

    Raises UserError where that cannot be: somebody is at work, nothing was planned yet, the stage
    stopped early.
    """
    if epochs and steps:
        raise UserError("--epochs and --steps cannot be combined", hint="use one of them")
    if lock.owner(run.lock_file):
        raise lock.taken(run.lock_file)
    loaded = load(str(run.preset_file))
    stage = loaded.preset.train[-1]
    told = _told(run, f"{TRAIN}:{stage.name}")
    more = _steps(steps) if steps else _epochs(epochs, told)
    longer = stage.model_copy(update={"extensions": [*stage.extensions, more]})
    preset = loaded.preset.model_copy(update={"train": [*loaded.preset.train[:-1], longer]})
    write_atomic(run.preset_file, to_toml(preset))
    return f"extended {stage.name} by {quantity(more, 'step')}; later stages will run again"


def _told(run: RunFolder, name: str) -> StageState:
    """The stage as its log tells it. Raises UserError for one that stopped early."""
    state = RunState()
    state.apply(read(run.events_file))
    stage = state.stages.get(name, StageState(name))
    if stage.done and stage.steps and stage.steps[-1].step < stage.steps[-1].steps:
        hint = "start a new run with early_stopping = 0"
        raise UserError(f"{name} stopped early; added steps would stop at once", hint=hint)
    return stage


def _steps(text: str) -> int:
    found = MORE.fullmatch(text)
    if not found or "." in text or int(found[1]) < 1:
        raise UserError(f"--steps {text}: not a number of steps to add", hint="use +100")
    return int(found[1])


def _epochs(text: str, stage: StageState) -> int:
    found = MORE.fullmatch(text)
    if not found or float(found[1]) <= 0:
        raise UserError(f"--epochs {text}: not a number of epochs to add", hint="use +1")
    if stage.plan is None:
        raise UserError(f"{stage.name} has not started; its epoch is unknown", hint="use --steps")
    return max(1, round(float(found[1]) * stage.plan.steps / stage.plan.epochs))
