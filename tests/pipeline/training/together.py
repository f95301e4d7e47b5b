"""A job done by several ranks: forked children (torch is imported already) joined by gloo."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from workbench.pipeline.training.distributed.collectives import ProcessGroup

LIMIT = timedelta(seconds=60)


def together(folder: Path, size: int, job: Callable[[ProcessGroup], Any]) -> list[Any]:
    """What `job` gives on each of `size` ranks, by rank, as JSON takes it; all must come through.

    `folder` is new, and of this group alone.
    """
    folder.mkdir()
    children = [_forked(folder, ProcessGroup(rank, size), job) for rank in range(size)]
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    errors = [path.read_text() for path in sorted(folder.glob("*.error"))]
    assert not any(ends), "\n".join([str(ends), *errors])
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(size)]


def _forked(folder: Path, ranks: ProcessGroup, job: Callable[[ProcessGroup], Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        torch.set_num_threads(1)
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        store = dist.FileStore(str(folder / "store"), ranks.size)
        dist.init_process_group(
            "gloo", store=store, rank=ranks.rank, world_size=ranks.size, timeout=LIMIT
        )
        (folder / f"{ranks.rank}.json").write_text(json.dumps(job(ranks)))
        dist.barrier()
        status = 0
    except BaseException:
        (folder / f"{ranks.rank}.error").write_text(traceback.format_exc())
    finally:
        os._exit(status)
