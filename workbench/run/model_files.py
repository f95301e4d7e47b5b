"""The model files of a run: the one it serves, the base it began with, what it vouches for."""

from __future__ import annotations

from pathlib import Path

from workbench.core.errors import UserError
from workbench.preset.loader import load
from workbench.run.folder import RunFolder
from workbench.run.log import skim
from workbench.run.state import RunState


def served_gguf(run: RunFolder) -> Path:
    """The file that chat opens and the Modelfile serves: the last of the preset's formats.

    Raises UserError when the run has not exported it, or it is gone.
    """
    formats = load(str(run.preset_file)).preset.export.formats
    state = _state(run)
    made = [state.exported[name] for name in formats if name in state.exported]
    if not made:
        hint = f"workbench attach {run.name} shows its progress"
        raise UserError("this run has not exported a model yet", path=run.path, hint=hint)
    path = run.path / made[-1].path
    if not path.is_file():
        raise UserError("the model file is missing", path=path, hint=f"workbench resume {run.name}")
    return path


def exported_gguf(run: RunFolder, kind: str) -> Path:
    """The run's file of that type. Raises UserError naming those there are."""
    there = {name: run.path / made.path for name, made in _state(run).exported.items()}
    there = {name: path for name, path in there.items() if path.is_file()}
    path = there.get(kind.lower())
    if path is None:
        hint = f"available: {', '.join(there)}; create it: " if there else ""
        hint += f"workbench export {run.name} --type {kind}"
        raise UserError(f"this run has no {kind} file", path=run.path, hint=hint)
    return path


def base_gguf(run: RunFolder) -> Path:
    """The base before tuning, as the evaluation asked it. Raises UserError when there is none."""
    path = next(iter(sorted(run.evaluation.glob("base-*.gguf"))), None)
    if path is None:
        hint = "an evaluation with baseline 'base' creates it; or give a .gguf file"
        raise UserError("this run has no base model file", path=run.path, hint=hint)
    return path


def digests(run: RunFolder) -> list[str]:
    """SHA-256 of the model files that the run's own exports wrote."""
    stages = _state(run).stages.values()
    exports = [stage.done for stage in stages if stage.name.partition(":")[0] == "export"]
    artefacts = [made for done in exports if done for made in done.artefacts]
    return [str(made["sha256"]) for made in artefacts if str(made["path"]).endswith(".gguf")]


def _state(run: RunFolder) -> RunState:
    state = RunState()
    state.apply(skim(run.events_file))
    return state
