"""A command as a process of its own, with what it took: wall time, CPU time, peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

# Between us and the command stands a bare Python: the kernel counts to a process what its parent
# held when it was forked, and a benchmark may hold more than the command ever does.
_LAUNCHER = """
import json, os, resource, subprocess, sys, time
began = time.monotonic()
try:
    status = subprocess.run(sys.argv[3:], timeout=float(sys.argv[2])).returncode
except subprocess.TimeoutExpired:
    status = -9
wall_s, used = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
told = [status, wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]
json.dump(told, open(sys.argv[1], "w"))
"""


@dataclass(frozen=True)
class Taken:
    """What came of a process. Memory is the largest resident set of any one process of it."""

    status: int
    out: str
    err: str
    wall_s: float
    cpu_s: float
    peak_bytes: int


def measure(words: Sequence[str], timeout_s: float = 600.0, **environment: str) -> Taken:
    """Run the command to its end, or kill it when the time is up (status -9)."""
    with tempfile.NamedTemporaryFile() as told:
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, told.name, str(timeout_s), *words]
        done = subprocess.run(
            launcher,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=os.environ | environment,
            check=True,
        )
        status, wall_s, cpu_s, peak_bytes = json.load(told)
    return Taken(status, done.stdout, done.stderr, wall_s, cpu_s, peak_bytes)
