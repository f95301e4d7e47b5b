"""Memory that does not suffice, in every stage: one line says what to do, and the run stands."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.pipeline.test_worker import run, state_of, work
from workbench.run.folder import RunFolder

__all__ = ["run"]
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB.\nGPU 0 has less.")
CPU = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes.")


def lacks(monkeypatch: pytest.MonkeyPatch, place: str, error: BaseException) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(f"workbench.pipeline.{place}", fail)


def fails(made: RunFolder, *stages: str) -> None:
    assert work(made, *stages) == 1
    said = state_of(made).error
    assert said.startswith("out of memory") and "\n" not in said
    assert said.endswith(f": free some memory, then run: workbench resume {made.name}"), said


@pytest.mark.parametrize(
    ("place", "stages", "error"),
    [
        ("training.job.prepare_stage", ["prepare"], MemoryError()),
        ("training.model.load", ["prepare", "train"], CUDA),
    ],
)
def test_before_training(
    run: RunFolder,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    stages: list[str],
    error: BaseException,
) -> None:
    lacks(monkeypatch, place, error)
    fails(run, *stages)
    monkeypatch.undo()
    assert work(run, *stages) == 0, "with memory it goes on"


@pytest.mark.parametrize(
    ("place", "stage", "error"),
    [
        ("export.verification.write_reference", "export:q8_0", CPU),
        ("export.output_files.run_export", "export:q8_0", MemoryError()),
        ("evaluation.job.evaluate_stage", "evaluate", CUDA),
    ],
)
def test_after_training(
    trained_run: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    stage: str,
    error: BaseException,
) -> None:
    lacks(monkeypatch, place, error)
    fails(trained_run, stage)
    assert not [p for p in trained_run.export.iterdir() if p.name.startswith((".", "tmp-"))]
