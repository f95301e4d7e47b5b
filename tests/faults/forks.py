"""Trials in forked children: heavy modules are imported once, a trial costs its own work only."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable

import torch

FULL, BROKEN = 28, 3


def forked(job: Callable[[], None]) -> int:
    """Run `job` in a child of one torch thread; its pid.

    The child's exit status: 0 at the job's end, FULL where the disk was full, 4 for another
    OSError, BROKEN for anything else.
    """
    pid = os.fork()
    if pid:
        return pid
    status = BROKEN
    try:
        torch.set_num_threads(1)
        job()
        status = 0
    except OSError as error:
        status = FULL if error.errno == errno.ENOSPC else 4
    finally:
        os._exit(status)


def to_its_end(job: Callable[[], None]) -> int:
    """The exit status of `job` in a child."""
    return os.waitstatus_to_exitcode(os.waitpid(forked(job), 0)[1])


def killed(job: Callable[[], None], after_s: float) -> bool:
    """Run `job` in a child and `kill -9` it `after_s` later; False where it was through by then."""
    pid = forked(job)
    until = time.monotonic() + after_s
    while time.monotonic() < until:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        time.sleep(0.0005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return True
