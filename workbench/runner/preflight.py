"""Everything that can be known to fail before anything heavy is loaded.

Cheap checks: the files exist and can be read without an error, the base looks like one, checkers
are installed, the disk has space. All errors are reported at once, each with its place. Data beyond
`READ_LIMIT_BYTES` is left to the prepare stage, which reads all of it anyway. These checks belong
to a run, not to reading a preset: presets can be listed, edited and checked on a machine without
the data.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ParamSpec

from workbench.bases.architecture import not_exported, read_config
from workbench.bases.folder import check_files
from workbench.checkers.execution import find_program
from workbench.core.errors import UserError, UserErrors
from workbench.core.files import check_space
from workbench.core.text import visible
from workbench.dataset.reader_options import ReaderOptions
from workbench.dataset.rows import raise_faults
from workbench.dataset.sources import plan_source, read_source, require
from workbench.preset import lookup, miniature, rules
from workbench.preset.inputs import EMBEDDED, HUB, MINIATURE, TEMPLATE_FILE, is_local
from workbench.preset.loader import LoadedPreset
from workbench.preset.lookup import embedded_base, resolve_data, with_absolute_source
from workbench.preset.schema import DataSource, Model, Preset
from workbench.runner.frozen_preset import checker_command, prompt_files


def require_files(loaded: LoadedPreset) -> None:
    """Raise UserErrors, each at its key, for every file or local model that is not there."""
    errors = _base(loaded)
    for path, wanted in _named(loaded):
        try:
            lookup.resolve_data(wanted, loaded.path)
        except UserError as error:
            errors.append(loaded.places.error(path, error.message, error.hint))
    if errors:
        raise UserErrors(errors)


def _base(loaded: LoadedPreset) -> list[UserError]:
    """What is wrong with a base that is, or could only be, on this machine."""
    model = loaded.preset.model
    if model.base.startswith((EMBEDDED, MINIATURE)):
        try:
            if model.base.startswith(EMBEDDED):
                lookup.embedded_base(model.base)
            else:
                miniature.check(model.base)
        except UserError as error:
            return [loaded.places.error(("model", "base"), error.message, error.hint)]
        return []
    is_folder = Path(os.path.expanduser(model.base)).is_dir()
    if is_local(model.base) and not is_folder:
        message = f"'{visible(model.base)}' is not a folder"
        return [loaded.places.error(("model", "base"), message, "give a model folder")]
    if is_folder and model.revision != "main":
        message = f"'{visible(model.base)}' is a local folder and has no revisions"
        return [loaded.places.error(("model", "revision"), message, "remove revision")]
    return []


def _named(loaded: LoadedPreset) -> Iterator[tuple[rules.Path, str]]:
    """Every file, folder and glob that the preset names, with its key."""
    preset = loaded.preset
    if preset.model.chat_template.startswith(TEMPLATE_FILE):
        yield ("model", "chat_template"), preset.model.chat_template.removeprefix(TEMPLATE_FILE)
    if preset.export.converter:
        yield ("export", "converter"), preset.export.converter
    for index, source in enumerate(preset.data.source):
        yield from ((("data", "source", index, key), file) for key, file in source.files().items())
    for index, file in preset.watch.prompt_files:
        yield ("watch", "prompts", index), file
    if preset.evaluate.prompts not in ("", "validation"):
        yield ("evaluate", "prompts"), preset.evaluate.prompts
    for index, guard in enumerate(preset.evaluate.guard):
        yield ("evaluate", "guard", index, "prompts"), guard.prompts
    for index, baseline in enumerate(preset.evaluate.baselines):
        if baseline.endswith(".gguf") and ":" not in baseline:
            yield ("evaluate", "baselines", index), baseline


READ_LIMIT_BYTES = 64 << 20
SPARE_BYTES = 64 << 20
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
KeyPath = tuple[str | int, ...]
P = ParamSpec("P")


def check(loaded: LoadedPreset, runs: Path, stages: Sequence[str] = ()) -> None:
    """Raise UserErrors with every fault found; RunFailed when the disk of `runs` is too full.

    `stages`: those that the run is to do, none for all.
    """
    require_files(loaded)
    faults = _Faults(loaded)
    preset = loaded.preset
    for number, source in enumerate(preset.data.source):
        place = ("data", "source", number, "path")
        faults.attempt(place, _read_source, source, loaded.path)
    for key, path in prompt_files(preset.evaluate):
        faults.attempt(key, _read, path, loaded.path, answers=False)
    for index, path in preset.watch.prompt_files:
        faults.attempt(("watch", "prompts", index), _read, path, loaded.path, answers=False)
    exports = bool(preset.export.formats) and (not stages or "export" in stages)
    faults.attempt(("model", "base"), check_base, preset, exports)
    if preset.evaluate.checker_required:
        faults.attempt(("evaluate", "checker"), _program, preset.evaluate.checker, loaded.path)
    for number, guard in enumerate(preset.evaluate.guard):
        faults.attempt(
            ("evaluate", "guard", number, "checker"), _program, guard.checker, loaded.path
        )
    faults.raise_any()
    check_space(_existing(runs), needed_bytes(loaded), "the run")


def check_base(preset: Preset, exports: bool) -> None:
    """Raise UserError unless the base is shipped, a model's folder, or could be a hub id.

    `exports`: whether GGUF files are to be written of it.
    """
    model = preset.model
    if model.base.startswith(EMBEDDED):
        embedded_base(model.base)
        return
    if model.base.startswith(MINIATURE):
        miniature.check(model.base)
        return
    folder = Path(model.base).expanduser()
    if folder.is_dir():
        check_files(folder, model.base)
        refused = not_exported(read_config(folder), folder / "config.json")
        if exports and refused and not preset.export.converter:
            raise refused
    elif is_local(model.base):
        raise UserError(f"'{model.base}' is not a folder", hint="give a model folder")
    elif not HUB_ID.fullmatch(model.base):
        hint = "use embedded:tiny, a local folder, or OWNER/NAME on the Hub"
        raise UserError(f"'{model.base}' is neither a folder nor a Hub id", hint=hint)


def local_base(model: Model) -> Path | None:
    """The base's folder where it lies on this machine; None for one that the hub has."""
    if model.base.startswith(EMBEDDED):
        return embedded_base(model.base)
    folder = Path(model.base).expanduser()
    return folder if folder.is_dir() else None


def needed_bytes(loaded: LoadedPreset) -> int:
    """A generous guess at what the run writes: exports, checkpoints, adapters.

    Counted from the size of the base's weights (taken as two bytes each); a base that is still
    on the hub counts as nothing, as its size is not known yet.
    """
    base = local_base(loaded.preset.model)
    weights = sum(path.stat().st_size for path in base.glob("*.safetensors")) if base else 0
    exports = len(loaded.preset.export.formats) + loaded.preset.export.merged
    checkpoints = sum(
        (stage.keep_checkpoints + 3) * (6 if stage.adapter.kind == "full" else 1)
        for stage in loaded.preset.train
    )
    return SPARE_BYTES + weights * (exports + checkpoints)


class _Faults:
    """Collects what the checks raise; a fault without a place gets that of its key."""

    def __init__(self, loaded: LoadedPreset) -> None:
        self._loaded = loaded
        self._found: list[UserError] = []

    def attempt(
        self, key: KeyPath, check: Callable[P, object], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        try:
            check(*args, **kwargs)
        except UserErrors as errors:
            self._found += errors.errors
        except UserError as error:
            placed = error.path is not None
            place = self._loaded.places.error(key, error.message, error.hint)
            self._found.append(error if placed else place)

    def raise_any(self) -> None:
        if self._found:
            raise UserErrors(self._found)


def _read_source(source: DataSource, preset_file: Path) -> None:
    """Read what is small; of more, and of the hub, only the beginning."""
    found = with_absolute_source(source, preset_file)
    options = ReaderOptions(**found.options())
    if found.path.startswith(HUB) or _bytes(Path(found.path)) > READ_LIMIT_BYTES:
        raise_faults(plan_source(found.path, found.format, options).faults)
    else:
        require(read_source(found.path, found.format, options=options), found.path)


def _read(path: str, preset_file: Path, answers: bool = True) -> None:
    found = resolve_data(path, preset_file)
    if _bytes(found) <= READ_LIMIT_BYTES:
        require(read_source(found, answers=answers), str(found))


def _bytes(path: Path) -> int:
    """Size of a file or of all files of a folder; a glob counts as small."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size if path.is_file() else 0


def _program(command: list[str], preset_file: Path) -> None:
    if command:
        find_program(checker_command(command, preset_file))


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if path.exists())
