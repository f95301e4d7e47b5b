"""A program in a pseudo-terminal of its own, looked at from outside."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
SCREEN = [sys.executable, "-m", "workbench"]


class Terminal:
    """Started at once; `output` is all that came so far. Use it in a `with`."""

    def __init__(self, command: list[str], place: Path, size: tuple[int, int] = (80, 24)) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=place,
            start_new_session=True,
            env=_environment(place),
        )
        os.close(slave)
        self.output = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._close()

    def hang_up(self, limit_s: float = 20.0) -> float:
        """Close our side; the seconds until the program is gone."""
        self._close()
        began = time.monotonic()
        self.process.wait(timeout=limit_s)
        return time.monotonic() - began

    def _close(self) -> None:
        if self.master >= 0:
            os.close(self.master)
            self.master = -1

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def read(self, limit_s: float) -> None:
        """Wait for one portion of output, at most so long."""
        if select.select([self.master], [], [], limit_s)[0]:
            try:
                self.output += os.read(self.master, 1 << 16)
            except OSError as error:
                raise RuntimeError(f"the program ended: {self.output[-400:]!r}") from error

    def read_all(self, seconds: float) -> None:
        """All that comes within that time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.read(left)

    def until(self, text: bytes, start: int = 0, limit_s: float = 60.0) -> None:
        """Read until the text has come, after the first `start` bytes."""
        end = time.monotonic() + limit_s
        while self.output.find(text, start) < 0:
            if time.monotonic() > end:
                raise RuntimeError(f"{text!r} did not come: {self.output[-400:]!r}")
            self.read(0.05)

    def memory_bytes(self) -> int:
        """Resident memory of the program."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in text.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def cpu_s(self) -> float:
        """Processor time of the program so far, user and system (proc(5), fields 14 and 15)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _environment(place: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    return kept | {
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "HOME": str(place),
        "XDG_STATE_HOME": str(place / "state"),
        "XDG_CONFIG_HOME": str(place / "config"),
        "WORKBENCH_RUNS": str(place / "runs"),
        "PYTHONPATH": str(ROOT),
    }
