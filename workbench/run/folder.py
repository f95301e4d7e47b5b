"""Where everything of one run lies. The one place that knows the names inside a run's folder.

A run's folder is self-contained: it can be copied to another machine, reopened, compared, resumed.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from workbench.core.errors import UserError
from workbench.core.text import did_you_mean

RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run's folder; making the object touches no disk."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def preset_file(self) -> Path:
        """The preset as run, frozen, every default written out."""
        return self.path / "preset.toml"

    @property
    def events_file(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def control(self) -> Path:
        return self.path / "control"

    @property
    def lock_file(self) -> Path:
        return self.path / "lock"

    @property
    def log_file(self) -> Path:
        """All that libraries print, native code included."""
        return self.path / "worker.log"

    @property
    def dataset(self) -> Path:
        return self.path / "dataset"

    def make_folders(self) -> None:
        """Make the folders that stages write to; what copies a run may have left them out."""
        for sub in (self.control, self.dataset, self.export, self.evaluation):
            sub.mkdir(exist_ok=True)

    @property
    def tokenizer(self) -> Path:
        """The tokenizer as training used it; export and chat take it from here."""
        return self.path / "tokenizer"

    def training(self, stage: str) -> Path:
        return self.path / "training" / stage

    @property
    def export(self) -> Path:
        return self.path / "export"

    @property
    def evaluation(self) -> Path:
        return self.path / "evaluation"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    def exists(self) -> bool:
        return self.preset_file.is_file()


def runs_root() -> Path:
    """The folder of all runs: `$WORKBENCH_RUNS`, or `runs` here."""
    return Path(os.environ.get("WORKBENCH_RUNS", "runs"))


def create(root: Path, preset_name: str, name: str = "") -> RunFolder:
    """Make a new run's folder: `name`, or the preset's name with the first free number.

    Two starts at the same moment get different folders: `mkdir` is exclusive. Raises UserError
    when the wished name is taken or is no plain name, or when the folder cannot be written.
    """
    if name and not RUN_NAME.fullmatch(name):
        raise UserError(
            f"invalid run name {name!r}", hint="use only letters, digits, '.', '_' and '-'"
        )
    try:
        root.mkdir(parents=True, exist_ok=True)
        path = _make_named(root / name) if name else _make_numbered(root, plain_name(preset_name))
        folder = RunFolder(path.resolve())
        folder.make_folders()
    except OSError as error:
        raise UserError(f"cannot create a run here: {error.strerror}", path=root) from error
    return folder


def find(root: Path, name: str) -> RunFolder:
    """The run called `name` below `root`, or the run whose folder is the path `name`.

    Raises UserError naming the nearest run there is.
    """
    for path in (root / name, Path(name)) if "\0" not in name else ():
        folder = RunFolder(path.resolve())
        if folder.exists():
            return folder
    names = [run.name for run in list_runs(root)]
    hint = did_you_mean(name, names[-10:]) if names else "there are no runs yet"
    raise UserError(f"no run '{name}' in {root}", hint=hint)


def list_runs(root: Path) -> list[RunFolder]:
    """All runs below `root`, the newest last."""
    if not root.is_dir():
        return []
    runs = [RunFolder(path.resolve()) for path in root.iterdir() if path.is_dir()]
    found = [run for run in runs if run.exists()]
    return sorted(found, key=lambda run: (run.preset_file.stat().st_mtime_ns, run.name))


def plain_name(text: str) -> str:
    """`text` as a run's name: what is not allowed in one becomes a dash."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")
    return name[:80] or "run"


def _make_named(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        hint = f"resume it: workbench resume {path.name}; or choose another --name"
        raise UserError("this run already exists", path=path, hint=hint) from None
    return path


def _make_numbered(root: Path, stem: str) -> Path:
    number = 1
    while True:
        path = root / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir(mode=0o700)
            return path
        except FileExistsError:
            number += 1
