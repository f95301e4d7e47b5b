"""A process that may take no more memory: real allocations fail, batches are halved, it goes on."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import pytest

from tests.faults.forks import to_its_end
from tests.pipeline.training.helpers import Bench, rows, stage_settings
from tests.pipeline.training.test_stage import losses
from workbench.pipeline.training.token_dataset import TokenDataset
from workbench.run import events

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform != "linux", reason="limits address space as Linux does"),
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]

ROOM_BYTES = 200 << 20  # beyond what the process has when it begins
STAGE = stage_settings(
    max_steps=2, batch_size=160, packing=False, sequence_length=256, adapter={"dropout": 0.0}
)


def test_batches_that_do_not_fit_are_halved_and_the_steps_stay(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    TokenDataset.of(rows(160, longest=240)).save(bench.train_file)
    for name, room in (("limited", ROOM_BYTES), ("whole", 1 << 40)):
        assert to_its_end(lambda name=name, room=room: _train(bench, name, room)) == 0
    limited, whole = (
        json.loads((tmp_path / f"{n}.json").read_text()) for n in ("limited", "whole")
    )
    print(f"\n{limited['notes']}")
    assert limited["losses"] == pytest.approx(whole["losses"], abs=1e-4)
    assert not whole["notes"]
    assert any("micro-batches are split into" in line for line in limited["notes"])


def _train(bench: Bench, name: str, room_bytes: int) -> None:
    """In a child of its own: what an earlier training has freed would be room to this one."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + room_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    _, told = bench.train(name, settings=STAGE)
    notes = [event.message for event in told if isinstance(event, events.Note)]
    told_file = bench.root / f"{name}.json"
    told_file.write_text(json.dumps({"losses": losses(told), "notes": notes}))
