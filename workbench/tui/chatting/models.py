"""The model files that can be talked to: what every run has exported, and the bases before it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from workbench.run.folder import RunFolder
from workbench.text import size


@dataclass(frozen=True)
class Model:
    """A GGUF; `run` is the run that made it, None for a file named by its path."""

    name: str
    path: Path
    run: RunFolder | None = None

    @property
    def about(self) -> str:
        """Size and folder, for a list."""
        try:
            shown = size(self.path.stat().st_size)
        except OSError:
            shown = "gone"
        return f"{shown}  {self.path.parent}"


def models_of(run: RunFolder) -> list[Model]:
    """A run's models: what it exported, then its base, as far as they are there."""
    made = sorted(run.export.glob("*.gguf"))
    bases = sorted(run.evaluation.glob("base-*.gguf"))
    found = [
        Model(f"{run.name} {path.stem.removeprefix(f'{run.name}-')}", path, run) for path in made
    ]
    return found + [Model(f"{run.name} {path.stem}", path, run) for path in bases]


def all_models(runs: Iterable[RunFolder]) -> list[Model]:
    """Those of all runs, in the order of the runs."""
    return [model for run in runs for model in models_of(run)]


def first_model(run: RunFolder) -> Model:
    """The model that the run serves. Raises UserError when it has exported none."""
    from workbench.run.models import served_gguf

    path = served_gguf(run)
    return next(model for model in models_of(run) if model.path == path)


def base_of(run: RunFolder) -> Model:
    """The run's base before tuning. Raises UserError when it keeps none."""
    from workbench.run.models import base_gguf

    path = base_gguf(run)
    return next(model for model in models_of(run) if model.path == path)


def file_model(typed: str) -> Model:
    """The model in the file of that path."""
    path = Path(typed).expanduser().absolute()
    return Model(path.stem, path)


def trusted(models: Iterable[Model]) -> list[str]:
    """SHA-256 of the files that the models' own runs vouch for."""
    from workbench.run.models import digests

    runs = {model.run.path: model.run for model in models if model.run}
    return [digest for run in runs.values() for digest in digests(run)]
