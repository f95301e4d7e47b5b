"""`kill -9` and failing disks while training: resumed, the bits are those of a run left alone."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import pytest

from tests.faults.forks import FULL, killed, to_its_end
from tests.pipeline.training.helpers import Bench, stage_settings
from tests.pipeline.training.test_stage import losses as of_steps
from workbench.core import files
from workbench.pipeline.training import checkpoint
from workbench.run.log import EventLog, read
from workbench.run.state import RunState

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]

KILLS = 100
IN_A_SAVE = 30
SLOWER_S = 0.004  # each fsync of a save, as on a disk that is busy
STAGE = stage_settings(epochs=3.0, save_every=2.0)
SHORT = stage_settings(epochs=1.0, save_every=4.0, evaluate_every=4.0)


def test_killed_at_random_moments_the_bits_are_the_same(tmp_path: Path) -> None:
    """The weights, and what the log tells of every step once it is folded."""
    bench = Bench(tmp_path)
    started = time.monotonic()
    assert to_its_end(lambda: _train(bench, "whole")) == 0
    whole_s = time.monotonic() - started
    wanted, steps = _hashes(bench, "whole"), _told(bench, "whole")
    moments = random.Random(20261121)
    kills = in_save = same = 0
    for _ in range(KILLS):
        while not killed(lambda: _train(bench, "trial"), moments.uniform(0.02, whole_s)):
            files.remove_folder(tmp_path / "trial")  # it got through: that was no trial
        kills += 1
        left = bench.folder("trial").rglob("*")
        in_save += any(p.name.startswith("tmp-") or p.name.endswith(".part") for p in left)
        assert to_its_end(lambda: _train(bench, "trial")) == 0
        same += _hashes(bench, "trial") == wanted and _told(bench, "trial") == steps
        assert not list(bench.folder("trial").rglob("tmp-*")), "a killed writer's folder stays"
        files.remove_folder(tmp_path / "trial")
    per_kill_s = (time.monotonic() - started) / kills
    print(f"\n{'kills':>8} {'in a save':>10} {'same bits':>10} {'s a kill':>9}")
    print(f"{kills:>8} {in_save:>10} {same:>10} {per_kill_s:>9.2f}")
    assert same == KILLS and in_save >= IN_A_SAVE


@pytest.mark.parametrize("what", ["kill", "enospc", "eio"])
def test_every_file_operation_of_a_save_may_fail(tmp_path: Path, what: str) -> None:
    """Operation n = 1, 2, ... of the run breaks; the resumed run has the same bits each time."""
    bench = Bench(tmp_path)
    bench.train("whole", settings=SHORT)
    wanted = _hashes(bench, "whole")
    broken = 0
    for at in range(1, 400):
        status = to_its_end(lambda at=at: _train_with_fault(bench, f"any:{at}:{what}"))
        if status == 0:
            break
        assert status == {"kill": -9, "enospc": FULL, "eio": 4}[what]
        broken += 1
        bench.train("trial", settings=SHORT)
        assert _hashes(bench, "trial") == wanted, at
        assert len(list(checkpoint.steps(bench.folder("trial")))) <= 2
        files.remove_folder(tmp_path / "trial")
    print(f"\n{what}: {broken} operations broken in turn, {broken} times the same bits")
    assert 20 < broken < 399, "the loop never met all operations of a save"


def test_from_every_checkpoint_of_three_epochs_the_bits_are_the_same(tmp_path: Path) -> None:
    """30 places to resume at, from the first step to the last: edges of epochs among them, and
    steps of one micro-batch (the last of an epoch) beside steps of three."""
    bench = Bench(tmp_path, count=29)
    stage = stage_settings(
        epochs=3.0, batch_size=1, accumulation=3, packing=False, save_every=1.0, keep_checkpoints=99
    )
    result, told = bench.train("whole", settings=stage)
    saved = list(checkpoint.steps(bench.folder("whole")))
    assert result.steps == len(saved) == 30
    wanted, losses = _hashes(bench, "whole"), of_steps(told)
    for path in saved:
        done = int(path.name.removeprefix(checkpoint.PREFIX))
        shutil.copytree(path, bench.folder("trial") / path.name)
        if result.best_step <= done:  # else it is still to come
            best = bench.adapter("whole", "best").parent
            shutil.copytree(best, bench.adapter("trial", "best").parent)
        if done == result.steps:  # written before the last checkpoint, and not again
            last = bench.adapter("whole", "last").parent
            shutil.copytree(last, bench.adapter("trial", "last").parent)
        _, rest = bench.train("trial", settings=stage)
        assert of_steps(rest) == losses[done:]
        assert _hashes(bench, "trial") == wanted, path.name
        files.remove_folder(tmp_path / "trial")


def _train(bench: Bench, name: str) -> None:
    """A life of the run: what it tells goes on in its log, and its disk is slow."""
    fsync = files.fsync_file

    def slow(path: Path) -> None:
        time.sleep(SLOWER_S)
        fsync(path)

    files.fsync_file = slow
    bench.folder(name).mkdir(parents=True, exist_ok=True)
    log = EventLog(bench.root / name / "events.jsonl")
    bench.train(name, settings=STAGE, emit=lambda event: log.append(event, "train:sft"))


def _told(bench: Bench, name: str) -> list[tuple[int, float, float, float]]:
    """(step, loss, gradient norm, learning rate) of each step, as a reader of the log has it."""
    state = RunState()
    state.apply(read(bench.root / name / "events.jsonl"))
    steps = state.stages["train:sft"].steps
    return [(s.step, s.loss, s.gradient_norm, s.learning_rate) for s in steps]


def _hashes(bench: Bench, name: str) -> list[str]:
    return [files.sha256(bench.adapter(name, which)) for which in ("best", "last", "final")]


def _train_with_fault(bench: Bench, fault: str) -> None:
    files._fault = files._Fault(fault)
    bench.train("trial", settings=SHORT)
