"""One answer is judged by a program: exit status 0 passes. The answer is never trusted.

The program gets a list of arguments (no shell), an empty temporary folder that is gone afterwards,
an environment without the caller's variables, no input, and limits: wall clock, CPU time, memory,
size of files, processes. What it has started ends when it ends or its time is up (`launcher.py`).

What is not covered: the network, and reading files that the user may read. Without namespaces (not
Linux, or a container that forbids them) a child that leaves the process group and sleeps goes on,
and a flood of processes is limited on Linux alone, and not for root.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from math import ceil
from pathlib import Path
from typing import IO

import workbench
from workbench.checkers import builtin
from workbench.checkers.failure_reason import reason_in
from workbench.core.errors import UserError
from workbench.core.text import one_line

# Of private writable memory, not of address space: node reserves tens of GiB that it never uses.
MEMORY_BYTES = 4 << 30
FILE_BYTES = 64 << 20
REASON_BYTES = 64 << 10
MAX_ARGUMENT_BYTES = 100_000  # Linux takes 131,071 for one
PROCESSES = 512  # and threads, at a time

_PLACEHOLDER = re.compile(r"\{(file|prompt|expected|python)\}")
_LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True)
class Limits:
    """What one check may use. Memory is per process, in bytes; `processes` counts threads too."""

    timeout_s: float = 10.0
    memory_bytes: int = MEMORY_BYTES
    file_bytes: int = FILE_BYTES
    processes: int = PROCESSES


@dataclass(frozen=True)
class Verdict:
    """What the checker said. `status` is None when it was killed.

    `passed` is None where a built-in checker finds nothing in the row to judge by.
    """

    passed: bool | None
    status: int | None
    reason: str
    elapsed_s: float


@dataclass(frozen=True)
class CheckItem:
    """An answer with what it answers."""

    answer: str
    prompt: str = ""
    expected: str = ""
    must_contain: tuple[str, ...] = ()


def check(
    command: Sequence[str],
    answer: str,
    *,
    suffix: str = "",
    timeout_s: float = 10.0,
    prompt: str = "",
    expected: str = "",
    must_contain: tuple[str, ...] = (),
    memory_bytes: int = MEMORY_BYTES,
    file_bytes: int = FILE_BYTES,
    processes: int = PROCESSES,
) -> Verdict:
    """The verdict of `command` on one answer.

    In its words, {file} stands for the path of the answer, {prompt} and {expected} for the texts,
    {python} for this Python; `builtin:NAME` in place of a program is one of `builtin.KINDS`.
    Raises UserError when the program is not installed.
    """
    find_program(command)
    limits = Limits(timeout_s, memory_bytes, file_bytes, processes)
    return _check(command, CheckItem(answer, prompt, expected, must_contain), suffix, limits)


def check_many(
    command: Sequence[str],
    items: Iterable[CheckItem],
    *,
    suffix: str = "",
    limits: Limits | None = None,
    workers: int = 2,
) -> Iterator[Verdict]:
    """A verdict an item, in order, several checks at a time; items are taken as they are needed.

    Raises UserError when the program is not installed.
    """
    find_program(command)
    waiting = iter(items)
    with ThreadPoolExecutor(workers, thread_name_prefix="checker") as pool:
        running: list[Future[Verdict]] = []
        for item in islice(waiting, 2 * workers):
            running.append(pool.submit(_check, command, item, suffix, limits or Limits()))
        try:
            while running:
                verdict = running.pop(0).result()
                for item in islice(waiting, 1):
                    running.append(pool.submit(_check, command, item, suffix, limits or Limits()))
                yield verdict
        finally:
            for future in running:
                future.cancel()


def find_program(command: Sequence[str]) -> None:
    """Return when the program can be run. Raises UserError when it is not installed."""
    if builtin.is_builtin(command):
        return builtin.require(command)
    program = _fill(command[0], {"python": sys.executable}) if command else ""
    if not program:
        raise UserError("the checker command has no program", hint="put the program first")
    if shutil.which(program) is None:
        hint = "install it, put its folder on PATH, or give its full path"
        raise UserError(f"checker program '{one_line(program)}' is not installed", hint=hint)


def _check(command: Sequence[str], item: CheckItem, suffix: str, limits: Limits) -> Verdict:
    start = time.monotonic()
    if builtin.is_builtin(command):
        child = builtin.as_command(command)
        if not child:
            return _judge_here(command, item, start)
        command = child
    with tempfile.TemporaryDirectory(prefix="check-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        file = folder / f"answer{suffix}"
        file.write_bytes(item.answer.encode("utf-8", "replace"))
        try:
            words = _words(command, file, item)
        except ValueError as error:
            return Verdict(False, None, str(error), time.monotonic() - start)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            environment = _environment(folder, with_package=command[0] == "{python}")
            status = _run(words, folder, environment, limits, out, err)
            said = _reason(err, folder) or _reason(out, folder)
    return _verdict(status, said, limits, time.monotonic() - start)


def _judge_here(command: Sequence[str], item: CheckItem, start: float) -> Verdict:
    passed, reason = builtin.judge_here(command, item.answer, item.expected, item.must_contain)
    status = None if passed is None else int(not passed)
    return Verdict(passed, status, reason, time.monotonic() - start)


def _run(
    words: list[str],
    folder: Path,
    environment: dict[str, str],
    limits: Limits,
    out: IO[bytes],
    err: IO[bytes],
) -> int | None:
    """Exit status (negative: killed by that signal); None when the time was up."""
    cpu_s = ceil(limits.timeout_s) + 1
    numbers = (limits.memory_bytes, limits.file_bytes, cpu_s, limits.processes)
    launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), *map(str, numbers)]
    process = subprocess.Popen(
        [*launcher, *words],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        start_new_session=True,
    )
    try:
        in_time = _wait(process, limits.timeout_s)
    finally:
        # Before the leader is reaped where that can be had, so that its number is still its own.
        _kill_group(process.pid)
        process.wait()
    return process.returncode if in_time else None


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Whether the process ended in time."""
    if not hasattr(os, "pidfd_open"):
        try:
            process.wait(timeout_s)
            return True
        except subprocess.TimeoutExpired:
            return False
    descriptor = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))
    finally:
        os.close(descriptor)


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS answers so for a group of the dead
        pass


def _verdict(status: int | None, said: str, limits: Limits, elapsed_s: float) -> Verdict:
    if status is None:
        reason = f"exceeded the time limit of {limits.timeout_s:g} s"
    elif status < 0:
        reason = _signal_reason(-status, limits)
    else:
        reason = said or ("" if status == 0 else f"exit status {status}")
    return Verdict(status == 0, status, reason, elapsed_s)


def _signal_reason(number: int, limits: Limits) -> str:
    if number == signal.SIGXFSZ:
        return f"wrote more than {limits.file_bytes} bytes"
    if number == signal.SIGXCPU:
        return "exceeded the CPU time limit"
    return f"killed by signal {number} ({signal.strsignal(number)})"


def _words(command: Sequence[str], file: Path, item: CheckItem) -> list[str]:
    values = {
        "file": str(file),
        "prompt": item.prompt,
        "expected": item.expected,
        "python": sys.executable,
    }
    words = [_fill(word, values) for word in command]
    for word in words:
        if "\0" in word:
            raise ValueError("the checker cannot receive a NUL character")
        if len(word.encode("utf-8", "replace")) > MAX_ARGUMENT_BYTES:
            raise ValueError("the text is too long for the checker's command line")
    # It runs in another folder: `./checker` is meant from here.
    words[0] = os.path.abspath(shutil.which(words[0]) or words[0])
    return words


def _fill(word: str, values: dict[str, str]) -> str:
    """`word` with its placeholders filled in one pass: what is put in is not looked at again."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), word)


def _environment(folder: Path, with_package: bool) -> dict[str, str]:
    """What the program sees of the caller's surroundings: the search path, and no secrets."""
    package = str(Path(workbench.__file__).resolve().parent.parent)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        **({"PYTHONPATH": package} if with_package else {}),
    }


def _reason(file: IO[bytes], folder: Path) -> str:
    file.seek(0)
    text = file.read(REASON_BYTES).decode("utf-8", "replace")
    return reason_in(text.replace(f"{folder}{os.sep}", ""))
