"""Work done ahead by threads while the caller is busy with what came before; results in order.

Meant for work that lets go of the interpreter lock: reading, numpy, ggml, hashing, writing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

WAITING = 4
LARGEST_KEPT_BYTES = (32 << 20) - (64 << 10)
Job = TypeVar("Job")
Done = TypeVar("Done")


def ahead(
    work: Callable[[Job], Done], jobs: Iterable[Job], threads: int
) -> Generator[Done, None, None]:
    """`work(job)` of every job, in the jobs' order, computed by `threads` threads.

    At most `WAITING` more jobs than threads are under way or wait for the caller: so few that
    memory stays bounded, enough that no thread sleeps while the caller is at one result. What a job
    raises is raised here, in its turn; nothing runs on afterwards. BLAS keeps to the thread that
    calls it meanwhile.
    """
    under_way = deque[Future[Done]]()
    _keep_freed_memory()
    with threadpool_limits(1), ThreadPoolExecutor(threads, thread_name_prefix="ahead") as pool:
        try:
            for job in jobs:
                under_way.append(pool.submit(work, job))
                if len(under_way) >= threads + WAITING:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()


def _keep_freed_memory() -> None:
    """Have glibc reuse the memory of arrays instead of giving it back and asking for it again.

    It keeps freed blocks up to the size of the largest one that it has seen freed, 32 MiB at most;
    without this the system clears every slab's pages anew, which costs more than the arithmetic.
    """
    np.empty(LARGEST_KEPT_BYTES, np.uint8)
