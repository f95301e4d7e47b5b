"""Where presets, data and the embedded base are found: in a clone and in an installed wheel alike.

A wheel carries `presets/` and `data/` in `workbench/_shipped/`; in a clone they are folders
beside the package.
"""

from __future__ import annotations

import glob
import os
import tomllib
from pathlib import Path

from workbench.core.errors import UserError
from workbench.core.text import did_you_mean, one_line, visible
from workbench.preset.inputs import EMBEDDED, DataSource

FIRST = "quickstart"  # runs anywhere, without a download
PACKAGE = Path(__file__).resolve().parent.parent


def shipped_root() -> Path:
    """The folder that holds the `presets/` and `data/` that ship."""
    in_wheel = PACKAGE / "_shipped"
    return in_wheel if in_wheel.is_dir() else PACKAGE.parent


def preset_folders() -> list[Path]:
    """Folders with presets, first wins: `./presets`, then those that ship. Only existing ones."""
    folders = [Path("presets").absolute(), shipped_root() / "presets"]
    return [f for n, f in enumerate(folders) if f.is_dir() and f not in folders[:n]]


def find(name: str) -> Path:
    """The file of the preset called `name`, without `.toml`. Raises UserError if there is none."""
    files = _preset_files()
    if name in files:
        return files[name]
    raise UserError(f"preset '{visible(name)}' not found", hint=did_you_mean(name, files))


def list_presets() -> list[tuple[str, str]]:
    """Name and description of every preset; a file that cannot be read says so instead.

    One's own go first, then the one to begin with, then the others that ship.
    """
    shipped = shipped_root() / "presets"

    def place(found: tuple[str, Path]) -> tuple[bool, bool, str]:
        name, path = found
        return path.parent == shipped, name != FIRST, name

    return [(name, _description(path)) for name, path in sorted(_preset_files().items(), key=place)]


def resolve_data(path: str, preset_file: Path) -> Path:
    """Where the file, folder or glob `path` of a preset is.

    Looked for in the current folder, beside the preset, above that, and in what ships. Raises
    UserError, naming these places, when it is nowhere.
    """
    beside = preset_file.absolute().parent
    roots = list(dict.fromkeys([Path.cwd(), beside, beside.parent, shipped_root()]))
    wanted = Path(os.path.expanduser(path))
    if wanted.is_absolute():
        roots = [Path(wanted.anchor)]
    for root in roots:
        if _is_there(root / wanted):
            return root / wanted
    where = "" if wanted.is_absolute() else f" in {', '.join(map(str, roots))}"
    raise UserError(f"'{visible(path)}' not found{where}", hint="check the path")


def with_absolute_source(source: DataSource, preset_file: Path) -> DataSource:
    """The source with absolute paths. Raises UserError for what is nowhere; see `resolve_data`."""
    found = {
        key: str(resolve_data(file, preset_file).absolute()) for key, file in source.files().items()
    }
    path = found.get("path", source.path)
    if source.hub_folder:
        path = source.path.replace(source.hub_folder, path, 1)
    return source.model_copy(update={"path": path, "json_schema": found.get("schema", "")})


def embedded_base(name: str) -> Path:
    """The folder of an embedded base model: `embedded:tiny`. Raises UserError if there is none."""
    wanted, folder = name.removeprefix(EMBEDDED), PACKAGE / "embedded"
    known = [config.parent.name for config in sorted(folder.glob("*/config.json"))]
    if wanted in known:
        return folder / wanted
    hint = did_you_mean(name, [EMBEDDED + known_name for known_name in known])
    raise UserError(f"unknown embedded model '{visible(wanted)}'", hint=hint)


def _preset_files() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in preset_folders():
        for path in sorted(folder.glob("*.toml")):
            found.setdefault(path.stem, path)
    return found


def _description(path: Path) -> str:
    try:
        text = tomllib.loads(path.read_text("utf-8-sig")).get("description", "")
    except (OSError, ValueError, RecursionError) as error:
        return f"(cannot be read: {one_line(str(error))})"
    return one_line(text, 200) if isinstance(text, str) else ""


def _is_there(path: Path) -> bool:
    try:
        return path.exists() or next(glob.iglob(str(path), recursive=True), None) is not None
    except (OSError, ValueError):
        return False
