"""The real screen in a real pseudo-terminal: what it writes, and how it ends."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

CODE = "import sys; from workbench.tui.app import main; sys.exit(main())"


class PtyScreen:
    """Started at once; `output` grows with every `read`."""

    def __init__(self, code: str = CODE, size: tuple[int, int] = (80, 24)) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.output = b""

    def read(self, seconds: float) -> bytes:
        """What comes within that time."""
        before, end = len(self.output), time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select([self.master], [], [], left)
            if not ready:
                break
            try:
                data = os.read(self.master, 65536)
            except OSError:
                break
            if not data:
                break
            self.output += data
        return self.output[before:]

    def until(self, text: bytes, limit_s: float = 30.0) -> None:
        """Read until the output holds the text."""
        end = time.monotonic() + limit_s
        while text not in self.output:
            assert time.monotonic() < end, f"{text!r} did not come: {self.output[-2000:]!r}"
            self.read(0.1)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def end(self, limit_s: float = 20.0) -> int:
        """Wait for the process; its exit status."""
        end = time.monotonic() + limit_s
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.1)
        self.read(0.2)
        status = self.process.wait(timeout=1)
        self.close()
        return status

    def close(self) -> None:
        if self.master >= 0:
            os.close(self.master)
            self.master = -1
