"""The files that a path names: a file, a folder without its hidden parts, or a glob; sorted."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from workbench.dataset.rows import Fault, Place


def list_files(path: Path | str) -> list[Path] | Fault:
    """The files that a path, folder (hidden files apart) or glob names, sorted."""
    shown, expanded = str(path), os.path.expanduser(str(path))
    if "\0" in shown:
        return Fault(Place(shown, 0), "missing", "file not found", "check the path")
    if os.path.isdir(expanded):
        files = walk(expanded)
        hint = "add a file with examples"
        return files or Fault(Place(shown, 0), "empty-folder", "the folder is empty", hint)
    if os.path.lexists(expanded) or not glob.has_magic(expanded):
        return [Path(expanded)]
    found = sorted(glob.glob(expanded, recursive=True))
    files = [Path(name) for name in found if not os.path.isdir(name)]
    return files or Fault(
        Place(shown, 0), "missing", "no file matches the pattern", "check the pattern"
    )


def walk(folder: str) -> list[Path]:
    """Every file below `folder` that is not hidden, nor in a hidden folder."""
    found = []
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(here, name) for name in sorted(files) if not name.startswith(".")]
    return found
