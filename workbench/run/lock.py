"""One worker a run: `lock` is held with `fcntl.lockf` for as long as the worker lives.

A kernel lock, so a killed worker leaves none behind (and a forked child does not keep it, as it
would with `flock`). Inside stand pid, start time and boot id, so that nobody mistakes a reused
pid for the worker. The file is opened once: closing any descriptor of it would drop the lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from workbench.core.errors import UserError

RETRY_S = 0.5


@dataclass(frozen=True)
class Owner:
    """Who holds a run: process id, its start in clock ticks since boot, and the boot's id."""

    pid: int
    start_ticks: int
    boot_id: str


class Lock:
    """Held from construction to `release` or the process's end. Raises UserError if taken."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _try_lock(self._fd, fcntl.LOCK_EX, retry_s=RETRY_S):
            os.close(self._fd)
            raise acquire_lock(path)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, json.dumps(asdict(identity(os.getpid()))).encode(), 0)

    def release(self) -> None:
        os.ftruncate(self._fd, 0)
        os.close(self._fd)


def acquire_lock(path: Path) -> UserError:
    """The error for a run that somebody else works on."""
    owner = _read_owner(path)
    who = f"process {owner.pid}" if owner else "another process"
    hint = f"watch it: workbench attach {path.parent.name}"
    return UserError(f"this run is in use by {who}", path=path.parent, hint=hint)


def owner(path: Path) -> Owner | None:
    """The live worker that holds the run, or None. Never call it in the holder's own process.

    Probes with a shared lock, so that two readers never take each other for a worker.
    """
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        if _try_lock(fd, fcntl.LOCK_SH, retry_s=0):
            return None
        return _read_owner(path) or Owner(0, 0, "")
    finally:
        os.close(fd)


def identity(pid: int) -> Owner:
    """Pid with start time and boot id; zeros and "" where the system does not tell (macOS)."""
    return Owner(pid, _start_ticks(pid), _boot_id())


def is_alive(owner: Owner) -> bool:
    """Whether that very process still runs: same pid, same start, same boot."""
    try:
        os.kill(owner.pid, 0)
    except OSError:
        return False
    return identity(owner.pid) == owner


def _try_lock(fd: int, kind: int, retry_s: float) -> bool:
    """Take the lock; readers probe it for an instant, so a worker tries again for a while."""
    until = time.monotonic() + retry_s
    while True:
        try:
            fcntl.lockf(fd, kind | fcntl.LOCK_NB)
            return True
        except OSError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.02)


def _read_owner(path: Path) -> Owner | None:
    try:
        return Owner(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _start_ticks(pid: int) -> int:
    """Field 22 of /proc/PID/stat (proc(5)); the command name before it may hold spaces."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[19])


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
