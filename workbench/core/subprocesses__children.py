"""Child processes that tell what they do as JSON lines: for work that may abort or never stop.

The parent reads `told(command)`; the child calls `end_with_parent()` and `say(...)`. Invariant: no
child outlives its parent, and none is left when the reader of its lines is closed.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

from workbench.core.errors import Interrupted, WorkbenchError
from workbench.core.text import one_line

POLL_S = 0.1


class ChildDied(WorkbenchError):
    """It ended without its last word; `cause` is how, with the last line it wrote to stderr."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"the helper process died{cause}")
        self.cause = cause


def told(
    command: Sequence[str], stopping: Callable[[], bool] = lambda: False
) -> Generator[dict[str, Any], None, None]:
    """Every JSON object that the child tells; the last must have `problem`, "" when all went well.

    Raises ChildDied when the last word does not come, Interrupted when `stopping()` says so. Close
    it (`contextlib.closing`) when not all of it is read.
    """
    ended_well = False
    with _running(command) as child:
        for line in _lines(child, stopping):
            fields = json.loads(line)
            ended_well = "problem" in fields
            yield fields
        _, said = child.communicate()
    if not ended_well:
        raise ChildDied(_cause(child.returncode, said))


def say(fields: dict[str, Any]) -> None:
    """Tell the parent; in the child."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def end_with_parent() -> None:
    """End this process as soon as its parent is gone; in the child.

    Standard input is a pipe from the parent that nobody writes to: its end is the parent's.
    """
    threading.Thread(target=_await_end, daemon=True).start()


def _await_end() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


@contextmanager
def _running(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "GGML_NO_BACKTRACE": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=True
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def _lines(child: subprocess.Popen[bytes], stopping: Callable[[], bool]) -> Iterator[bytes]:
    """The child's lines as they come; `stopping` is looked at between them and while none comes."""
    heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        with suppress(ValueError):  # the pipe was closed under our hands: nobody listens any more
            for line in cast(Any, child.stdout):
                heard.put(line)
        heard.put(b"")

    threading.Thread(target=read, name="child", daemon=True).start()
    while True:
        if stopping():
            raise Interrupted("stopped; partial output was removed")
        try:
            line = heard.get(timeout=POLL_S)
        except queue.Empty:
            continue
        if not line:
            return
        yield line


def _cause(returncode: int, said: bytes) -> str:
    name = f" ({signal.Signals(-returncode).name})" if returncode < 0 else ""
    lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
    return name + (f": {one_line(lines[-1], 160)}" if lines else "")
