"""How busy the worker and its machine are: read by a thread of its own, off the steps' path.

It only reads counters that the system keeps anyway. A GPU is looked at through torch once torch
is in use here, its share of busy time through NVML where its Python library is installed. Where
ranks of the worker's train they count as the worker, and the first of them tells of its GPU.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

import psutil

from workbench.run.events import Load

FIRST_S, LONGEST_S = 1.0, 10.0
SHARE_OF_AGE = 0.001  # a run of hours is told of every ten seconds: its log stays small
Gpu = tuple[float | None, int, int]  # busy share, bytes in use, bytes in all


class ProcessTree:
    """This process and its children, as one: cores kept busy since the last look, and memory."""

    def __init__(self) -> None:
        self._own = psutil.Process()
        self._own.cpu_percent()  # the first call only begins to count
        self._children: dict[int, psutil.Process] = {}

    def busy(self) -> tuple[float, int]:
        """(cores, bytes); a child counts from the look after the one that found it."""
        found = {child.pid: child for child in self._own.children()}
        self._children = {pid: self._children.get(pid, child) for pid, child in found.items()}
        percent, resident = self._own.cpu_percent(), self._own.memory_info().rss
        for child in self._children.values():
            with suppress(psutil.NoSuchProcess):  # ended since
                percent += child.cpu_percent()
                resident += child.memory_info().rss
        return round(percent / 100, 2), resident


class ReportedGpu:
    """What another process told of its GPU: a worker whose ranks train uses none itself."""

    def __init__(self) -> None:
        self.gpu: Gpu | None = None

    def hear(self, load: Load) -> None:
        """Keep what `load` says of a GPU."""
        used, total = load.gpu_memory_bytes, load.gpu_memory_total_bytes
        known = used is not None and total is not None
        self.gpu = (load.gpu_share, used, total) if known else None  # type: ignore[assignment]


elsewhere = ReportedGpu()


class SystemLoadMonitor:
    """Emits a `Load` about once a second between `with` and its end, one at least.

    A reading that fails is left out; a full disk ends it.
    """

    def __init__(
        self, emit: Callable[[Load], object], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._emit, self._now = emit, now
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def __enter__(self) -> SystemLoadMonitor:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        family, started, told = ProcessTree(), self._now(), False
        psutil.cpu_percent()
        ended = False
        while not ended:
            ended = self._ended.wait(next_reading_s(self._now() - started))
            if ended and told:
                return
            try:
                found = measured(family)
            except (OSError, psutil.Error):  # a process that ended meanwhile, for one
                continue
            try:
                self._emit(found)
            except OSError:
                return
            told = True


def next_reading_s(age_s: float) -> float:
    """Seconds until the next reading, `age_s` after the first."""
    return min(LONGEST_S, max(FIRST_S, age_s * SHARE_OF_AGE))


def measured(family: ProcessTree) -> Load:
    """The load since the last call."""
    busy, used, total = gpu() or elsewhere.gpu or (None, None, None)
    cores, resident = family.busy()
    return Load(
        cpu_share=round(psutil.cpu_percent() / 100, 3),
        worker_cores=cores,
        memory_bytes=resident,
        memory_free_bytes=psutil.virtual_memory().available,
        gpu_share=busy,
        gpu_memory_bytes=used,
        gpu_memory_total_bytes=total,
    )


def gpu() -> Gpu | None:
    """The GPU in use by this process; None without one. Nothing is started by looking."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "cuda") or not torch.cuda.is_initialized():
        return None
    free, total = torch.cuda.mem_get_info()
    try:
        busy = round(torch.cuda.utilization() / 100, 2)
    except Exception:  # noqa: BLE001 - without NVML, or where it may not look: errors of its own
        busy = None
    return busy, total - free, total
