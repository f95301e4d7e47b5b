"""The real screen in a real pseudo-terminal: what it writes, and how it ends."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

import pyte

CODE = "import sys; from workbench.tui.app import main; sys.exit(main())"
UNKNOWN = re.compile(rb"\x1b\[[<>?=][0-9;]*\$?[up]")  # pyte would print the end of these


class PtyScreen:
    """Started at once; `output` grows with every `read`."""

    def __init__(
        self,
        code: str = CODE,
        size: tuple[int, int] = (80, 24),
        controlling: bool = True,  # else no SIGHUP comes when the line is gone
    ) -> None:
        self.size = size
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) if controlling else None,
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

    def lines(self) -> list[str]:
        """What the terminal shows now, line by line, without spaces at the ends."""
        display = pyte.Screen(*self.size)
        stream = pyte.ByteStream(display)
        stream.feed(UNKNOWN.sub(b"", self.output))
        return [line.rstrip() for line in display.display]

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def resize(self, width: int, height: int) -> None:
        """As when the window is dragged: the kernel tells the screen by SIGWINCH."""
        self.size = (width, height)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def wait(self, limit_s: float = 20.0) -> int:
        """Wait for the process; its exit status."""
        end = time.monotonic() + limit_s
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.1)
        self.read(0.2)
        return self.process.wait(timeout=1)

    def end(self) -> int:
        """As `wait`, then close the line."""
        status = self.wait()
        self.close()
        return status

    def close(self) -> None:
        """Close our side: the line is gone."""
        if self.master >= 0:
            os.close(self.master)
            self.master = -1
