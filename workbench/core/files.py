"""Everything written is whole: files and folders appear complete or not at all.

All writing that a run depends on goes through this module, so that one seam can make the n-th
operation fail in tests: `WORKBENCH_FAULT=rename:3:kill` (operation or `any`, count, and one of
kill, enospc, eio). The variable is read once, at import, and by nothing else.

Order on disk: data is fsynced before the rename that makes it visible, the parent folder after.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.core.errors import RunFailed

CHUNK_BYTES = 1 << 20
WRITE_BYTES = 256 << 10  # in one call: Linux takes larger ones at a fraction of the speed


class _Fault:
    """Counts operations and breaks the chosen one; does nothing unless a test asked for it."""

    def __init__(self, spec: str) -> None:
        self.operation, self.at, self.what = "", 0, ""
        if spec:
            operation, at, self.what = spec.split(":")
            self.operation, self.at = operation, int(at)

    def strike(self, operation: str) -> None:
        if self.operation not in ("any", operation):
            return
        self.at -= 1
        if self.at != 0:
            return
        if self.what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        code = {"enospc": errno.ENOSPC, "eio": errno.EIO}[self.what]
        raise OSError(code, os.strerror(code))


_fault = _Fault(os.environ.get("WORKBENCH_FAULT", ""))


def write_all(fd: int, data: bytes) -> None:
    """Write every byte of `data`, or raise OSError: a short write (disk full) is not a success."""
    _fault.strike("write")
    view = memoryview(data)
    while view:
        written = os.write(fd, view[:WRITE_BYTES])
        if written == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view = view[written:]


def write_at(fd: int, data: bytes, offset: int) -> None:
    """`write_all` at a place of the file, by any thread: the descriptor's own place stays."""
    _fault.strike("write")
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view[:WRITE_BYTES], offset)
        if written == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view, offset = view[written:], offset + written


def fsync_file(path: Path) -> None:
    """Force the file's bytes to disk."""
    _fault.strike("fsync")
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def fsync_folder(path: Path) -> None:
    """Force the folder's entries (creations, renames) to disk."""
    fsync_file(path)


def rename(source: Path, target: Path) -> None:
    """`os.replace`, through the fault seam."""
    _fault.strike("rename")
    os.replace(source, target)


def remove_folder(path: Path) -> None:
    """Remove a folder and all below it; absent is fine.

    The folder is first renamed to a `tmp-` name, so that a kill half-way never leaves a
    folder that looks whole.
    """
    if not path.exists():
        return
    doomed = path if path.name.startswith("tmp-") else path.with_name(f"tmp-gone-{path.name}")
    if doomed != path:
        if doomed.exists():
            shutil.rmtree(doomed)
        rename(path, doomed)
    _fault.strike("unlink")
    shutil.rmtree(doomed)


def write_atomic(path: Path, data: bytes | str) -> None:
    """Replace `path` by `data`: a reader sees the old bytes or the new ones, never a mixture."""
    raw = data.encode() if isinstance(data, str) else data
    part = path.with_name(f".{path.name}.part")
    _fault.strike("open")
    try:
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            write_all(fd, raw)
            _fault.strike("fsync")
            os.fsync(fd)
        finally:
            os.close(fd)
        rename(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """`value` as indented strict JSON (NaN refused), whole or not at all."""
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    write_atomic(path, text + "\n")


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is no file, or something else in it."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in chunks."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yield a `tmp-` folder to fill; on success one rename makes it `target`.

    `manifest.json` (name -> bytes, sha256) is written last. On an error nothing stays behind but
    what a kill leaves: a `tmp-` folder, which `sweep` removes.
    """
    tmp = target.with_name(f"tmp-{target.name}")
    remove_folder(tmp)
    _fault.strike("open")
    tmp.mkdir(parents=True)
    try:
        yield tmp
        seal(tmp)
        if target.exists():
            remove_folder(target)
        rename(tmp, target)
    except OSError:
        shutil.rmtree(tmp, ignore_errors=True)
        raise
    fsync_folder(target.parent)


def seal(folder: Path) -> None:
    """fsync every file of `folder` and write `manifest.json`, which makes the folder verifiable."""
    entries = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        fsync_file(path)
        name = path.relative_to(folder).as_posix()
        entries[name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    write_json(folder / "manifest.json", entries)


def verify(folder: Path) -> str:
    """`""` when the folder is whole, else what is wrong with it, in words."""
    manifest = folder / "manifest.json"
    try:
        entries = json.loads(manifest.read_bytes())
    except FileNotFoundError:
        return "manifest.json is missing"
    except ValueError:
        return "manifest.json is damaged"
    if not isinstance(entries, dict) or not all(map(_is_entry, entries.values())):
        return "manifest.json is damaged"
    for name, entry in entries.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != entry["bytes"] or sha256(path) != entry["sha256"]:
            return f"{name} is damaged"
    return ""


def sweep(folder: Path) -> None:
    """Remove what a killed writer left in `folder`: `tmp-*` folders and `.*.part` files."""
    for left in folder.glob("tmp-*"):
        shutil.rmtree(left, ignore_errors=True)
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)


def check_space(folder: Path, needed_bytes: int, what: str) -> None:
    """Raise RunFailed when the disk of `folder` has less than `needed_bytes` free."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        have, need = f"{free / 2**20:.0f} MiB", f"{needed_bytes / 2**20:.0f} MiB"
        told = f"{folder}: disk full: {what} needs {need}, {have} free"
        raise RunFailed(f"{told}; free some space, then resume")


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and entry.keys() >= {"bytes", "sha256"}
