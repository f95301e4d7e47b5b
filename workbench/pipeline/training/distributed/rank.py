"""This process among the ranks of a training: its place, and how a rank ended.

torchrun sets RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE and the rendezvous address; our own
supervisor does the same. Invariant: only this module sees these variables
(`take_rank_environment` removes them), or accelerate would wrap the model and average the gradients
a second time.

The end of a rank goes through a pipe as words, and the worker makes an error of it. Invariant: of
several failures the cause is reported, not its echo. A rank that died reports nothing, and the
others fail at its silence: it comes first. Then the rank that reported first.
"""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from workbench.core.errors import Interrupted, RunFailed, UserError, WorkbenchError

if TYPE_CHECKING:
    from workbench.pipeline.training.distributed.collectives import ProcessGroup

NAMES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "ROLE_RANK")
GPUS = "CUDA_VISIBLE_DEVICES"
LONGEST_WAIT = timedelta(days=2)  # for a rank that prepares data, saves or asks prompts meanwhile


@dataclass(frozen=True)
class RankInfo:
    """The `rank` among `size` processes of all machines, and that on this machine."""

    rank: int
    size: int
    local_rank: int


def take_rank_environment(environment: MutableMapping[str, str]) -> RankInfo | None:
    """The place that a launcher set, taken out of `environment`; None for a process of its own.

    On a machine with several GPUs the process sees from then on only its own: whatever any library
    takes for "the GPU" is the right one. To be called before torch is imported.
    """
    given = {name: environment.pop(name, "") for name in NAMES}
    if not given["RANK"] or int(given["WORLD_SIZE"] or 1) == 1:
        return None
    place = RankInfo(int(given["RANK"]), int(given["WORLD_SIZE"]), int(given["LOCAL_RANK"] or 0))
    environment[GPUS] = gpu_of(place.local_rank, environment)
    return place


def gpu_of(local_rank: int, environment: Mapping[str, str]) -> str:
    """The GPU of a process as CUDA_VISIBLE_DEVICES names it; "" for one too many.

    A list of one GPU is the launcher's own choice for this very process.
    """
    listed = environment.get(GPUS)
    if listed is None:
        return str(local_rank)
    names = listed.split(",")
    if len(names) == 1:
        return listed
    return names[local_rank] if local_rank < len(names) else ""


@contextmanager
def process_group(place: RankInfo) -> Iterator[ProcessGroup]:
    """In here the process group stands: what lies on GPUs goes by NCCL, everything else by gloo.

    Where to meet is in MASTER_ADDR and MASTER_PORT. After an error the group is left to the
    process's end: taking leave would wait for the others.
    """
    import torch
    import torch.distributed as dist

    from workbench.pipeline.training.distributed.collectives import ProcessGroup

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, rank=place.rank, world_size=place.size, timeout=LONGEST_WAIT)
    yield ProcessGroup(place.rank, place.size)
    dist.destroy_process_group()


def check_gpus(processes: int, device: str) -> None:
    """Raise UserError where this machine has not a GPU for each of so many processes.

    `device` is as in a preset. On the CPU any number goes.
    """
    import torch

    from workbench.pipeline.training.device import pick_device

    kind = pick_device(device).type
    have = torch.cuda.device_count() if kind == "cuda" else 1
    if processes > have and kind != "cpu":
        hint = f'use {have}, or model.device = "cpu"'
        message = f"launch.processes: {processes}, but this machine has {have} {kind} device(s)"
        raise UserError(message, hint=hint)


def check_devices(ranks: ProcessGroup, device: str) -> None:
    """Raise UserError unless every rank computes on the same kind of device, a GPU of its own."""
    kinds = ranks.words(device)
    if "mps" in kinds and ranks.size > 1:
        raise UserError("MPS supports only one process", hint='use model.device = "cpu"')
    odd = next((rank for rank, kind in enumerate(kinds) if kind != kinds[0]), None)
    if odd is not None:
        hint = "start one process per GPU on each machine"
        raise UserError(
            f"rank {odd} of {ranks.size} has no {kinds[0]} device of its own", hint=hint
        )


Kind = Literal["done", "interrupted", "input", "failed", "system", "fault", "died"]
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class RankExit:
    """The last word of a rank; "died" is the word of its parent."""

    rank: int
    kind: Kind
    text: str = ""
    errno: int = 0

    @property
    def well(self) -> bool:
        """Whether it ended because all did."""
        return self.kind in ("done", "interrupted")


def exit_fields(error: BaseException | None) -> dict[str, Any]:
    """The fields of a `RankExit`, for `RankExit(rank, **fields)`."""
    if error is None:
        return {"kind": "done"}
    text = str(error)
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return {"kind": "interrupted", "text": text}
    if isinstance(error, UserError):
        return {"kind": "input", "text": text}
    if isinstance(error, WorkbenchError):
        return {"kind": "failed", "text": text}
    if isinstance(error, OSError) and error.errno in FULL:
        return {"kind": "system", "text": text, "errno": error.errno}
    first = text.strip().splitlines()
    return {"kind": "fault", "text": f"{type(error).__name__}: {first[0] if first else ''}"}


def died(rank: int, returncode: int) -> RankExit:
    """The ending of a rank that said no last word."""
    if returncode >= 0:
        return RankExit(rank, "died", f"ended with exit status {returncode}")
    name = signal.Signals(-returncode).name
    why = ": by someone, or by the system if memory ran out" if name == "SIGKILL" else ""
    return RankExit(rank, "died", f"was killed by {name}{why}")


def error_of(endings: Sequence[RankExit], size: int, where: str) -> WorkbenchError | OSError | None:
    """What a stage of `size` ranks came to, by their endings in the order they were heard.

    None when all of them are done. `where` names the place that has all that they printed.
    """
    failed = sorted((e for e in endings if not e.well), key=lambda e: e.kind != "died")
    if not failed:
        stopped = [e for e in endings if e.kind == "interrupted"]
        return Interrupted(stopped[0].text) if stopped else None
    first = failed[0]
    all_the_same = len(failed) == size and len({e.text for e in failed}) == 1
    text = first.text if all_the_same else f"rank {first.rank} of {size}: {first.text}"
    match first.kind:
        case "input":
            return UserError(text)
        case "system":
            return OSError(first.errno, text)
        case "failed":
            return RunFailed(text)
    return RunFailed(f"{text} (details: {where})")
