"""A process's place by its environment: read once, and out of everybody's sight."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.pipeline.training.together import together
from workbench.core.errors import UserError
from workbench.pipeline.training.distributed.collectives import ProcessGroup
from workbench.pipeline.training.distributed.rank import (
    RankInfo,
    check_devices,
    check_gpus,
    gpu_of,
    take_rank_environment,
)

TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}


def test_the_place_is_taken_out() -> None:
    given = {**TORCHRUN, "MASTER_ADDR": "h", "HOME": "/"}
    assert take_rank_environment(given) == RankInfo(5, 8, 1)
    assert given == {"MASTER_ADDR": "h", "HOME": "/", "CUDA_VISIBLE_DEVICES": "1"}


@pytest.mark.parametrize("given", [{}, {**TORCHRUN, "RANK": "0", "WORLD_SIZE": "1"}])
def test_one_process_has_no_place(given: dict[str, str]) -> None:
    assert take_rank_environment(given) is None
    assert not given, "what accelerate would make a group of"


@pytest.mark.parametrize(
    ("listed", "mine"),
    [(None, "1"), ("4,5,6", "5"), ("7", "7"), ("", ""), ("GPU-a,GPU-b", "GPU-b")],
)
def test_a_process_sees_its_own_gpu(listed: str | None, mine: str) -> None:
    given = {} if listed is None else {"CUDA_VISIBLE_DEVICES": listed}
    assert gpu_of(1, given) == mine


def test_one_process_too_many_sees_none() -> None:
    assert gpu_of(2, {"CUDA_VISIBLE_DEVICES": "4,5"}) == ""


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_gpus(64, "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_gpus(2, "auto")
    with pytest.raises(UserError) as refused:
        check_gpus(4, "auto")
    wanted = (
        "launch.processes: 4, but this machine has 2 cuda device(s) "
        '(use 2, or model.device = "cpu")'
    )
    assert str(refused.value) == wanted


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_ranks_on_unlike_devices_are_refused_by_all(tmp_path: Path) -> None:
    def job(ranks: ProcessGroup) -> str:
        check_devices(ranks, "cpu")
        with pytest.raises(UserError) as refused:
            check_devices(ranks, "cuda" if ranks.first else "cpu")
        return str(refused.value)

    said = together(tmp_path / "group", 2, job)
    assert said[0] == said[1] and said[0].startswith("rank 1 of 2 has no cuda device of its own (")
