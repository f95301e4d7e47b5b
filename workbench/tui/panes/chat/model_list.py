"""What can be talked to: the files that runs have exported, their bases, and the weights that their
training has saved so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from workbench.core.errors import UserError
from workbench.core.text import size
from workbench.run.checkpoints import Checkpoint, checkpoints, find, newest, saved_last_ns
from workbench.run.folder import RunFolder


@dataclass(frozen=True)
class Model:
    """A GGUF at `path`, or saved weights in that folder; `run` is the run that made it.

    With `follows` it is always the newest weights of the run. `words` are those after
    `workbench chat` that mean the same.
    """

    name: str
    path: Path
    run: RunFolder | None = None
    checkpoint: Checkpoint | None = None
    follows: bool = False
    words: tuple[str, ...] = ()

    @property
    def about(self) -> str:
        """Size and folder, or what it is, for a list."""
        if self.follows:
            return "always the newest saved weights"
        if self.checkpoint:
            return f"saved weights  {self.path}"
        try:
            shown = size(self.path.stat().st_size)
        except OSError:
            shown = "gone"
        return f"{shown}  {self.path.parent}"


def models_of(run: RunFolder) -> list[Model]:
    """A run's models: what it exported, its base, its newest weights, all it has saved."""
    made = sorted(run.export.glob("*.gguf"))
    bases = sorted(run.evaluation.glob("base-*.gguf"))
    found = [exported_model(run, path, _kind(run, path)) for path in made]
    found += [Model(f"{run.name} {path.stem}", path, run, words=(str(path),)) for path in bases]
    saved = checkpoints(run, with_steps=False)
    if saved:
        found.append(newest_model(run))
    return found + [_saved(run, one) for one in saved]


def has_models(run: RunFolder) -> bool:
    """Whether there is anything to talk to. A few `stat`."""
    return any(run.export.glob("*.gguf")) or saved_last_ns(run) > 0


def all_models(runs: Iterable[RunFolder]) -> list[Model]:
    """Those of all runs, in the order of the runs."""
    return [model for run in runs for model in models_of(run)]


def first_model(run: RunFolder) -> Model:
    """The model that the run serves, or before there is one its newest weights.

    Raises UserError when it has neither.
    """
    from workbench.run.model_files import served_gguf

    try:
        path = served_gguf(run)
    except UserError:
        if saved_last_ns(run):
            return newest_model(run)
        raise
    return exported_model(run, path, _kind(run, path))


def newest_model(run: RunFolder) -> Model:
    """The run's newest weights, and those that come after them."""
    words = (run.name, "--follow")
    return Model(f"{run.name} newest", run.path / "training", run, follows=True, words=words)


def weights_of(model: Model) -> Checkpoint:
    """The weights to begin with, with their step: the run's log is read.

    Raises UserError when there are none any more.
    """
    assert model.run is not None, "only a run has saved weights"
    if model.checkpoint:
        return find(model.run, f"{model.checkpoint.stage}/{model.checkpoint.name}")
    found = newest(model.run)
    if found is None:
        raise UserError("this run has not saved any weights yet", path=model.run.path)
    return found


def base_of(run: RunFolder) -> Model:
    """The run's base before tuning. Raises UserError when it keeps none."""
    from workbench.run.model_files import base_gguf

    path = base_gguf(run)
    return next(model for model in models_of(run) if model.path == path)


def file_model(typed: str) -> Model:
    """The model in the file of that path."""
    path = Path(typed).expanduser().absolute()
    return Model(path.stem, path, words=(str(path),))


def trusted(models: Iterable[Model]) -> list[str]:
    """SHA-256 of the files that the models' own runs vouch for."""
    from workbench.run.model_files import digests

    runs = {model.run.path: model.run for model in models if model.run}
    return [digest for run in runs.values() for digest in digests(run)]


def exported_model(run: RunFolder, path: Path, kind: str) -> Model:
    """A file of the run's export, by its type."""
    return Model(f"{run.name} {kind}", path, run, words=(run.name, "--type", kind))


def _kind(run: RunFolder, path: Path) -> str:
    return path.stem.removeprefix(f"{run.name}-")


def _saved(run: RunFolder, one: Checkpoint) -> Model:
    name = f"{one.stage}/{one.name}"
    words = (f"{run.name}@{name}",)
    return Model(f"{run.name} {name}", one.path, run, checkpoint=one, words=words)
