"""The load is told from a thread, as plain events, and ends with its `with`."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
import time
import types
from dataclasses import replace

import psutil
import pytest

from workbench.pipeline import system_load
from workbench.pipeline.system_load import (
    ProcessTree,
    SystemLoadMonitor,
    gpu,
    measured,
    next_reading_s,
)
from workbench.run import events


def test_readings_are_plausible() -> None:
    found = measured(ProcessTree())
    assert 0 <= found.cpu_share <= 1 and found.worker_cores >= 0
    assert 1 << 20 < found.memory_bytes < psutil.virtual_memory().total
    assert 0 < found.memory_free_bytes < psutil.virtual_memory().total
    assert events.parse("load", found.fields()) == found


def test_a_second_at_first_and_ten_after_hours() -> None:
    assert [next_reading_s(age) for age in (0, 500, 4000, 1e6)] == [1.0, 1.0, 4.0, 10.0]


def test_it_speaks_until_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_load, "FIRST_S", 0.01)
    told: list[events.Load] = []
    twice = threading.Event()

    def emit(event: events.Load) -> None:
        told.append(event)
        if len(told) == 2:
            twice.set()

    with SystemLoadMonitor(emit) as meter:
        assert twice.wait(20)
    assert not meter._thread.is_alive() and len(told) >= 2


def test_a_short_run_has_a_reading_too() -> None:
    told: list[events.Load] = []
    with SystemLoadMonitor(told.append) as meter:
        assert not told, "the first one comes after a second"
    assert not meter._thread.is_alive() and len(told) == 1


@pytest.mark.parametrize("error", [psutil.NoSuchProcess(1), ProcessLookupError(3, "ended")])
def test_a_reading_that_fails_is_not_the_last(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(system_load, "FIRST_S", 0.01)
    plain, calls, read = system_load.measured, [], threading.Event()

    def measured(family: ProcessTree) -> events.Load:
        calls.append(family)
        if len(calls) == 1:
            raise error
        read.set()
        return plain(family)

    monkeypatch.setattr(system_load, "measured", measured)
    told: list[events.Load] = []
    with SystemLoadMonitor(told.append):
        assert read.wait(20)
    assert len(told) >= 1


def test_a_full_disk_ends_it_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_load, "FIRST_S", 0.01)

    def full(event: events.Load) -> None:
        raise OSError(errno.ENOSPC, "no space")

    with SystemLoadMonitor(full) as meter:
        meter._thread.join(20)
        assert not meter._thread.is_alive()


class NVMLErrorStandIn(Exception):
    """As `pynvml.NVMLError`, which derives from Exception alone."""


def test_a_gpu_is_told_with_what_can_be_known_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> int:
        raise ModuleNotFoundError("pynvml")

    cuda = types.SimpleNamespace(
        is_initialized=lambda: True, mem_get_info=lambda: (3 << 30, 8 << 30), utilization=unknown
    )
    monkeypatch.setitem(system_load.sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
    assert gpu() == (None, 5 << 30, 8 << 30)

    def not_supported() -> int:
        raise NVMLErrorStandIn("Not Supported")  # as on a slice of a GPU

    cuda.utilization = not_supported
    assert gpu() == (None, 5 << 30, 8 << 30)
    cuda.utilization = lambda: 97
    assert gpu() == (0.97, 5 << 30, 8 << 30)
    cuda.is_initialized = lambda: False
    assert gpu() is None


def test_children_count_as_the_worker_for_as_long_as_they_live() -> None:
    family = ProcessTree()
    _, alone = family.busy()
    spin = "import time\nx = bytearray(64 << 20)\nprint(1, flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", spin], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline()
        family.busy()  # finds it
        until = time.monotonic() + 20
        cores = 0.0
        while cores < 0.05 and time.monotonic() < until:
            time.sleep(0.05)
            cores, resident = family.busy()
        child.kill()
    assert cores >= 0.05 and resident > alone + (60 << 20)
    assert family.busy()[1] < alone + (30 << 20)


def test_a_gpu_that_a_rank_uses_is_told_with_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_load, "gpu", lambda: None)
    monkeypatch.setattr(system_load, "elsewhere", system_load.ReportedGpu())
    theirs = replace(measured(ProcessTree()), gpu_memory_bytes=5, gpu_memory_total_bytes=8)
    system_load.elsewhere.hear(theirs)
    found = measured(ProcessTree())
    assert (found.gpu_share, found.gpu_memory_bytes, found.gpu_memory_total_bytes) == (None, 5, 8)
    system_load.elsewhere.hear(replace(theirs, gpu_memory_bytes=None))
    assert measured(ProcessTree()).gpu_memory_bytes is None
