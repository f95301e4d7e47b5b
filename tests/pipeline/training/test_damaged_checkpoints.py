"""What a loss of power leaves of the newest checkpoint: passed over in one line, the one before it
is taken, and the run that goes on from there has the same bits.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pipeline.training.helpers import Bench
from tests.pipeline.training.test_stage import After
from workbench.core import files
from workbench.core.errors import Interrupted
from workbench.pipeline.training import checkpoint
from workbench.run import events

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

NAMES = ("trainable.safetensors", "optimizer.safetensors", "state.json", "manifest.json")
OFFSETS = 64
Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Stopped after step 9, with checkpoints of steps 8 and 9."""
    bench = Bench(tmp_path_factory.mktemp("stopped"))
    bench.train("whole")
    with pytest.raises(Interrupted):
        bench.train("stopped", should_stop=After(9))
    return bench


def damages(newest: Path) -> Iterator[tuple[str, Damage]]:
    """64 places where a file is cut or its tail zeroed, spread over all; then files empty, gone."""
    for number in range(OFFSETS):
        name = NAMES[number % len(NAMES)]
        size = (newest / name).stat().st_size
        at = number * size // OFFSETS
        yield name, lambda path, at=at: _cut(path, at)
        yield name, lambda path, at=at, size=size: _zero(path, at, size)
    for name in NAMES:
        yield name, lambda path: path.write_bytes(b"")
        yield name, Path.unlink


def _cut(path: Path, at: int) -> None:
    with open(path, "r+b") as file:
        file.truncate(at)


def _zero(path: Path, at: int, size: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(bytes(size - at))


def test_every_damage_falls_back_by_one_and_names_it(stopped: Bench, tmp_path: Path) -> None:
    folder = stopped.folder("stopped")
    before, newest = list(checkpoint.steps(folder))[-2:]
    assert (before.name, newest.name) == ("step-000008", "step-000009")
    tried = 0
    for number, (name, damage) in enumerate(damages(newest)):
        place = tmp_path / str(number)
        for path in (before, newest):
            shutil.copytree(path, place / path.name)
        damage(place / newest.name / name)
        told: list[tuple[str, str]] = []
        found = checkpoint.newest(place, lambda path, why, told=told: told.append((path.name, why)))
        assert found == place / before.name, (name, number)
        ((passed_over, why),) = told
        assert passed_over == newest.name and why.startswith(name) and "\n" not in why
        shutil.rmtree(place)
        tried += 1
    assert tried == 2 * OFFSETS + 2 * len(NAMES)


@pytest.mark.parametrize("kind", ["cut", "zeroed", "empty", "gone"])
@pytest.mark.parametrize("name", ["trainable.safetensors", "manifest.json"])
def test_the_run_goes_on_to_the_same_bits(stopped: Bench, name: str, kind: str) -> None:
    trial = f"trial-{name}-{kind}"
    shutil.copytree(stopped.folder("stopped"), stopped.folder(trial))
    hurt = stopped.folder(trial) / "step-000009" / name
    half = hurt.stat().st_size // 2
    how: dict[str, Damage] = {
        "cut": lambda path: _cut(path, half),
        "zeroed": lambda path: _zero(path, half, 2 * half),
        "empty": lambda path: path.write_bytes(b""),
        "gone": Path.unlink,
    }
    how[kind](hurt)
    _, told = stopped.train(trial)
    (refused,) = [event for event in told if isinstance(event, events.CheckpointRefused)]
    (resumed,) = [event for event in told if isinstance(event, events.Resumed)]
    assert (refused.path, resumed.path) == ("step-000009", "step-000008")
    for which in ("best", "last", "final"):
        ours, theirs = stopped.adapter(trial, which), stopped.adapter("whole", which)
        assert files.sha256(ours) == files.sha256(theirs)
