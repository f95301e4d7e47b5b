"""Child processes that report in JSON lines: for work that is slow, may abort, or may never end.

`JsonChild` answers one request in a background process, so that it costs the terminal UI neither
memory nor time. A parent that waits reads `stream_messages(command)`; the child calls
`exit_with_parent()` and `send_message(...)`. Invariant: no child outlives its parent, and none is
left once the reader of its lines is closed.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

from workbench.core.errors import Interrupted, UserError, WorkbenchError
from workbench.core.text import one_line

Message = dict[str, Any]
SAY_EVERY_S = 0.1
LOOK_EVERY_S = 1.0
NICE = 5  # keys go before


class JsonChild:
    """`heard` gets every line, in a thread; the last is `{"end": ""}`, or what went wrong."""

    def __init__(
        self,
        module: str,
        request: Mapping[str, Any],
        heard: Callable[[Message], None],
        fds: Sequence[int] = (),
    ) -> None:
        """`module` is run as a program; `fds` are file descriptors that it gets."""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=tuple(fds),
        )
        self._stopped = False
        self._thread = threading.Thread(target=self._listen, args=(heard,), daemon=True)
        self._thread.start()
        self.ask(request)

    def ask(self, request: Mapping[str, Any]) -> None:
        """Send it a line."""
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    def stop(self) -> None:
        """End it now; nothing is heard afterwards."""
        self._stopped = True
        self._process.kill()
        self._thread.join()

    def _listen(self, heard: Callable[[Message], None]) -> None:
        assert self._process.stdin and self._process.stdout
        with self._process.stdin, self._process.stdout as lines:
            for line in lines:
                if self._stopped:
                    break
                heard(json.loads(line))
        status = self._process.wait()
        if not self._stopped:
            heard({"end": f"a helper process ended with exit status {status}" if status else ""})


class MessageSender:
    """The child's side: collects what is to be said, and says it every tenth of a second."""

    def __init__(self) -> None:
        self._said_at = 0.0

    def due(self) -> bool:
        """Whether it is time to say something."""
        return time.monotonic() - self._said_at >= SAY_EVERY_S

    def say(self, **fields: Any) -> None:
        """One line. Raises BrokenPipeError when nobody listens."""
        sys.stdout.write(json.dumps(fields) + "\n")
        sys.stdout.flush()
        self._said_at = time.monotonic()


def _end_with_parent() -> None:
    """End within a second of the parent's end.

    By a signal, not a thread: a regular expression that never ends keeps all threads waiting, but
    looks at signals.
    """
    parent = os.getppid()

    def look(number: int, frame: object) -> None:
        if os.getppid() != parent:
            os._exit(1)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, LOOK_EVERY_S, LOOK_EVERY_S)


def main(task: Callable[[Message, MessageSender], None]) -> int:
    """Carry out the task that the first line of stdin asks for; the exit status.

    A UserError of the task is said, as `trouble`.
    """
    os.nice(NICE)
    _end_with_parent()
    try:
        with suppress(BrokenPipeError, KeyboardInterrupt):
            speaker = MessageSender()
            try:
                task(json.loads(sys.stdin.readline()), speaker)
            except UserError as error:
                speaker.say(trouble=str(error))
    finally:  # an interpreter that is going has no handler any more: a look would kill it
        signal.setitimer(signal.ITIMER_REAL, 0)
    sys.stdout = None  # a listener that left is no error of ours
    return 0


POLL_S = 0.1


class ChildDied(WorkbenchError):
    """It ended without its last word; `cause` is how, with the last line it wrote to stderr."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"the helper process died{cause}")
        self.cause = cause


def stream_messages(
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


def send_message(fields: dict[str, Any]) -> None:
    """Tell the parent; in the child."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def exit_with_parent() -> None:
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
