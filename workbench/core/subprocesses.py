"""Child processes: started, heard and ended here; the only `Popen` except for untrusted responses.

A `JsonChild` sends JSON objects, one per line of its standard output: for work that may abort,
never end, or cost memory that the asking process must not. `run_child` waits for one that is short,
`start_pipes` hands out the pipes of one with a format of its own, and `start_detached` starts one
that outlives its starter. In the child, `send_message` writes a line, `exit_with_parent` ends it
with its parent, and `run_task` does both for a task that is asked for on standard input.

Invariant: no `JsonChild` outlives its parent, and none is left once it was stopped.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, Self

from workbench.core.errors import Interrupted, UserError, WorkbenchError
from workbench.core.text import one_line

DISCARD, PIPE = subprocess.DEVNULL, subprocess.PIPE
Message = dict[str, Any]
Process = subprocess.Popen[bytes]

SEND_EVERY_S = 0.1
POLL_S = 0.1
PARENT_POLL_S = 0.5
PARENT_ALARM_S = 1.0
STDERR_BYTES = 4096  # of the end of what a child wrote: enough for its last line
STDERR_LIMIT_S = 1.0  # for the rest of it; a process of the child's own may hold it open
NICE = 5  # keys go before
PR_SET_PDEATHSIG = 1  # prctl(2)
PARENT = "WORKBENCH_PARENT_PID"  # who started it, were he gone before the child can look


class ChildDied(WorkbenchError):
    """It ended without its last message; `cause` is that of `exit_reason`."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"the helper process died{cause}")
        self.cause = cause


class JsonChild:
    """A child that sends JSON objects and may be sent some; a context that stops it at its end.

    Read the messages in one way, once: by `messages` in this thread, or by `listen` in another.
    """

    def __init__(
        self,
        command: Sequence[str],
        request: Mapping[str, Any] | None = None,
        *,
        pass_fds: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start `command` and send it `request`; it gets the file descriptors `pass_fds`."""
        self._process = start_pipes(
            command, stderr=PIPE, pass_fds=pass_fds, environment=environment, own_session=True
        )
        self._stopped = False
        self._stderr = b""
        self._stderr_reader = _thread(self._read_stderr)
        self._stdout_reader: threading.Thread | None = None
        if request is not None:
            self.send(request)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def messages(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Message]:
        """Every message as it comes. The last must have the key `problem`, "" when all went well.

        Raises ChildDied when it does not come, Interrupted when `should_stop()` says so.
        """
        ended_well = False
        for message in self._polled(should_stop):
            ended_well = "problem" in message
            yield message
        status = self._wait()
        if not ended_well:
            raise ChildDied(exit_reason(status, self._stderr))

    def listen(self, on_message: Callable[[Message], None]) -> None:
        """Call `on_message` with every message, in a thread; nothing comes after `stop`.

        The last message is `{"end": ""}`, or says there how the child ended.
        """

        def listen() -> None:
            for message in self._received():
                on_message(message)
            status = self._wait()
            if not self._stopped:
                if status:
                    os.write(2, self._stderr)  # a traceback, for the log
                end = f"a helper process ended with exit status {status}" if status else ""
                on_message({"end": end})

        self._stdout_reader = _thread(listen)

    def send(self, request: Mapping[str, Any]) -> None:
        """Send one message. A child that is gone gets none."""
        with suppress(OSError, ValueError):
            stdin = _pipe(self._process.stdin)
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()

    def stop(self) -> None:
        """End it now, where it has not ended; nothing is received afterwards."""
        self._stopped = True
        self._process.kill()
        if self._stdout_reader:
            self._stdout_reader.join()
        self._wait()

    def _received(self) -> Iterator[Message]:
        """The messages, waited for; the beginning of a line that a kill cut off is none."""
        for line in _pipe(self._process.stdout):
            if self._stopped:
                return
            if line.endswith(b"\n"):
                yield json.loads(line)

    def _polled(self, should_stop: Callable[[], bool]) -> Iterator[Message]:
        """The messages; `should_stop` is asked between them and while none comes."""
        received: queue.SimpleQueue[Message | None] = queue.SimpleQueue()

        def read() -> None:
            try:
                for message in self._received():
                    received.put(message)
            finally:
                received.put(None)

        self._stdout_reader = _thread(read)
        while True:
            if should_stop():
                raise Interrupted("stopped; partial output was removed")
            try:
                message = received.get(timeout=POLL_S)
            except queue.Empty:
                continue
            if message is None:
                return
            yield message

    def _read_stderr(self) -> None:
        with _pipe(self._process.stderr) as stderr:
            while some := os.read(stderr.fileno(), 1 << 16):
                self._stderr = (self._stderr + some)[-STDERR_BYTES:]

    def _wait(self) -> int:
        """Its exit status, once it has ended; its pipes are closed, and `_stderr` is complete."""
        with suppress(OSError):
            _pipe(self._process.stdin).close()
        _pipe(self._process.stdout).close()
        status = self._process.wait()
        self._stderr_reader.join(STDERR_LIMIT_S)
        return status


class ChildResult(NamedTuple):
    """How a child ended, and all that it wrote."""

    returncode: int
    stdout: bytes
    stderr: bytes


def run_child(
    command: Sequence[str], *, input: bytes = b"", timeout_s: float | None = None
) -> ChildResult:
    """Run the command to its end, with `input` as its standard input.

    Raises TimeoutError when it takes longer than `timeout_s`; it is killed then. Raises OSError
    when it cannot be started.
    """
    try:
        done = subprocess.run(
            command,
            input=input,
            capture_output=True,
            timeout=timeout_s,
            env=_environment(None),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"{command[0]} did not end within {timeout_s:g} s") from error
    return ChildResult(done.returncode, done.stdout, done.stderr)


def start_pipes(
    command: Sequence[str],
    *,
    stdout: int | None = PIPE,
    stderr: int | None = None,
    pipe_bytes: int | None = None,
    pass_fds: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
    own_session: bool = False,
) -> Process:
    """Start a child whose standard input is a pipe, and whose `stdout` and `stderr` may be.

    Each of those is PIPE, DISCARD, or None for ours; `pipe_bytes` is the size of the pipes, where
    the system allows it. `environment` is added to ours. With `own_session` no signal of the
    terminal reaches it. Raises OSError when it cannot be started.
    """
    return subprocess.Popen(
        command,
        stdin=PIPE,
        stdout=stdout,
        stderr=stderr,
        pipesize=-1 if pipe_bytes is None else pipe_bytes,
        pass_fds=tuple(pass_fds),
        env={**_environment(environment), PARENT: str(os.getpid())},
        start_new_session=own_session,
    )


def start_detached(
    command: Sequence[str],
    output: IO[bytes],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Process:
    """Start a child that can outlive us: in a session of its own, no terminal, no pipe.

    What it prints goes to the file `output`; it works in `folder` (None: ours). `environment` is
    added to ours. Raises OSError when it cannot be started.
    """
    return subprocess.Popen(
        command,
        stdin=DISCARD,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env=_environment(environment),
        start_new_session=True,
    )


def let_go(process: Process) -> None:
    """Leave a detached child to itself: Python need not wait for it, nor warn at our end."""
    process.returncode = 0


def exit_reason(returncode: int, stderr: bytes) -> str:
    """How a child ended, to append: ` (SIGABRT): the last line it wrote`, "" when not known."""
    name = f" ({signal.Signals(-returncode).name})" if returncode < 0 else ""
    lines = [line for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    return name + (f": {one_line(lines[-1], 160)}" if lines else "")


def _environment(added: Mapping[str, str] | None) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if name != PARENT}
    return {**ours, "GGML_NO_BACKTRACE": "1", **(added or {})}


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None, "started with this pipe"
    return stream


def _thread(target: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=target, name="child", daemon=True)
    thread.start()
    return thread


# In the child


def send_message(**fields: Any) -> None:
    """Send one message to the parent. Raises BrokenPipeError when nobody listens."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


class MessageSender:
    """Sends messages, and knows when the next one is due: every tenth of a second."""

    def __init__(self) -> None:
        self._sent_at = 0.0

    def due(self) -> bool:
        """Whether it is time to send what was collected."""
        return time.monotonic() - self._sent_at >= SEND_EVERY_S

    def send(self, **fields: Any) -> None:
        """Send one message. Raises BrokenPipeError when nobody listens."""
        send_message(**fields)
        self._sent_at = time.monotonic()


def run_task(task: Callable[[Message, MessageSender], None]) -> int:
    """Do the task that the first line of standard input asks for; returns the exit status.

    The message of a UserError is sent as `trouble`.
    """
    os.nice(NICE)
    exit_with_parent("alarm")
    try:
        with suppress(BrokenPipeError, KeyboardInterrupt):
            sender = MessageSender()
            try:
                task(json.loads(sys.stdin.readline()), sender)
            except UserError as error:
                sender.send(trouble=str(error))
    finally:  # an interpreter that ends has no handler any more: an alarm would kill it
        signal.setitimer(signal.ITIMER_REAL, 0)
    sys.stdout = None  # a listener that left is no error of ours
    return 0


def exit_with_parent(
    by: Literal["pipe", "poll", "alarm", "kernel"], on_byte: Callable[[], None] | None = None
) -> None:
    """End this process when its parent has ended, whatever it does then.

    - `pipe`: at the end of standard input, a pipe that the parent holds; at once.
    - `poll`: when it has another parent, for one whose standard input is not ours to read.
    - `alarm`: the same by a signal, within a second: works under a regular expression that never
      returns, which keeps all threads waiting but handles signals.
    - `kernel`: Linux kills it, also under native code that holds Python up; elsewhere as `pipe`.

    `on_byte` is called, in a thread, for every byte on standard input (`pipe` and `kernel`).
    """
    parent = int(os.environ.pop(PARENT, os.getppid()))
    match by:
        case "pipe":
            _thread(lambda: _read_until_end(on_byte))
        case "poll":
            _thread(lambda: _poll_parent(parent))
        case "alarm":
            _set_alarm(parent)
        case "kernel":
            if sys.platform == "linux":
                import ctypes

                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != parent:  # gone before the kernel was asked
                    os._exit(1)
            _thread(lambda: _read_until_end(on_byte))


def _read_until_end(on_byte: Callable[[], None] | None) -> None:
    while os.read(0, 1):
        if on_byte:
            on_byte()
    os._exit(1)


def _poll_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_S)
    os._exit(1)


def _set_alarm(parent: int) -> None:
    def check(number: int, frame: object) -> None:
        if os.getppid() != parent:
            os._exit(1)

    signal.signal(signal.SIGALRM, check)
    signal.setitimer(signal.ITIMER_REAL, PARENT_ALARM_S, PARENT_ALARM_S)
