"""torch.compile on parts of the model: the same numbers, kept only where it is faster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests import tiny
from tests.pipeline.training.helpers import Bench, stage_settings
from tests.pipeline.training.test_stage import After, losses
from workbench.core import files
from workbench.core.errors import Interrupted
from workbench.pipeline.training import compilation
from workbench.pipeline.training.compilation import CompileChoice, blocks
from workbench.pipeline.training.distributed.collectives import SINGLE_PROCESS
from workbench.run import events

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*is_gradient_checkpointing:FutureWarning",
    "ignore::DeprecationWarning",
    "ignore:The .grad attribute of a Tensor:UserWarning",  # torch's own, while it traces
)

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is traced and cut up is the same; only no C++ is made of it, which takes a minute."""
    monkeypatch.setattr(compilation, "BACKEND", "aot_eager")


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_compiled_it_learns_the_same(tmp_path: Path, kind: str) -> None:
    bench = Bench(tmp_path, kind)
    still = {"dropout": 0.0}
    _, plain = bench.train("plain", settings=stage_settings(max_steps=5, adapter=still))
    stage = stage_settings(max_steps=5, adapter=still, compile=True)
    _, told = bench.train("compiled", settings=stage)
    assert losses(told) == pytest.approx(losses(plain), abs=1e-4)


def test_resumed_the_bits_are_the_same(tmp_path: Path) -> None:
    bench, stage = Bench(tmp_path), stage_settings(max_steps=6, compile=True)
    bench.train("whole", settings=stage)
    with pytest.raises(Interrupted):
        bench.train("stopped", settings=stage, should_stop=After(3))
    bench.train("stopped", settings=stage)
    assert files.sha256(bench.adapter("stopped")) == files.sha256(bench.adapter("whole"))


def test_on_a_cpu_nothing_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "compile_blocks", lambda model: pytest.fail("it was"))
    bench = Bench(tmp_path)
    bench.train(settings=stage_settings(max_steps=2))
    assert '"compiled": false' in next(bench.folder().glob("step-*/state.json")).read_text()


class Timed:
    """A clock of our own: a micro-batch takes a second plain, `compiled_s` compiled."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, compiled_s: float) -> None:
        self.now, self.compiled_s, self.told = 0.0, compiled_s, list[events.Event]()
        self.model: Any = tiny.model()
        monkeypatch.setattr(compilation, "TRIED_ON", ("cpu",))
        monkeypatch.setattr(compilation.time, "perf_counter", lambda: self.now)
        self.compiling = CompileChoice(self.model, "auto", CPU, self.told.append, SINGLE_PROCESS)

    @property
    def compiled(self) -> bool:
        return all(block._compiled_call_impl is not None for block in blocks(self.model))

    def work(self) -> None:
        self.now += self.compiled_s if self.compiled else 1.0

    def choose(self, left: int, before: bool | None = None) -> bool:
        return self.compiling.choose(before, self.work, left)


@pytest.mark.parametrize(
    ("compiled_s", "left", "kept", "said"),
    [
        (0.5, 1000, True, "torch.compile: 2.00x the speed on the largest batch, enabled"),
        (0.97, 1000, False, "torch.compile: 1.03x the speed on the largest batch, not used"),
        (2.0, 1000, False, "torch.compile: 0.50x the speed on the largest batch, not used"),
        (0.5, 100, False, ""),
    ],
)
def test_tried_it_is_kept_where_it_pays(
    monkeypatch: pytest.MonkeyPatch, compiled_s: float, left: int, kept: bool, said: str
) -> None:
    timed = Timed(monkeypatch, compiled_s)
    assert timed.choose(left) == timed.compiled == kept
    assert [event.message for event in timed.told] == ([said] if said else [])


def test_what_an_earlier_life_chose_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for before in (True, False):
        timed = Timed(monkeypatch, 0.5)
        assert timed.choose(1000, before) == timed.compiled == before
        assert timed.now == 0.0 and not timed.told


def test_what_cannot_be_compiled_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = Timed(monkeypatch, 0.5)

    def fails() -> None:
        if timed.compiled:
            raise RuntimeError("no compiler\nmore of it")
        timed.now += 1.0

    assert timed.compiling.choose(None, fails, 1000) is False and not timed.compiled
    (note,) = timed.told
    assert note.message == "torch.compile: could not compile (no compiler)"


def test_blocks_are_the_feed_forward_ones_and_the_norms() -> None:
    for kind, count in (("llama", 2 * 3), ("gemma3", 2 * 7)):
        assert len(list(blocks(tiny.model(kind)))) == count
