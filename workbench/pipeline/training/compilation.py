"""Feed-forward blocks and norms compiled by torch.compile, where that is faster.

Attention is left alone: the lengths of its segments change with every micro-batch, and each would
be compiled anew. What was chosen is a part of the checkpoint, for compiled and plain arithmetic
differ in their last bits: a resumed run computes as it did before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Literal

import torch
from torch import nn

from workbench.pipeline.models.causal_lm import causal_model
from workbench.pipeline.training.distributed.collectives import ProcessGroup
from workbench.run import events
from workbench.run.events import Emit

CompileSetting = Literal["auto"] | bool

BACKEND = "inductor"
# Not on a CPU: a small Llama was 1.06 times as fast there, after a minute of compiling.
TRIED_ON = ("cuda",)
LONG_ENOUGH_S = 600.0  # of micro-batches still to come; a shorter stage ends before it pays
WORTH = 0.95  # of the plain time, at most
ROUNDS = 3


def blocks(model: Any) -> Iterator[nn.Module]:
    """The model's feed-forward blocks and norms, adapters and all; none lies within another."""
    for name, module in causal_model(model).named_modules():
        last = name.rpartition(".")[2]
        if last in ("mlp", "feed_forward") or last.endswith(("layernorm", "_norm")):
            yield module


def compile_blocks(model: Any) -> None:
    """From here on they are compiled when they are first called; their names stay what they were.

    Dropout draws the numbers that it draws without compiling.
    """
    with suppress(ImportError, AttributeError):
        from torch._inductor import config

        config.fallback_random = True
    for block in blocks(model):
        block.compile(dynamic=True, backend=BACKEND)


def undo(model: Any) -> None:
    """As if nothing had been compiled."""
    for block in blocks(model):
        block._compiled_call_impl = None


class CompileChoice:
    """Decides for a stage, by its preset's `wish` or by trying; all ranks as the first says."""

    def __init__(
        self,
        model: Any,
        wish: CompileSetting,
        device: torch.device,
        emit: Emit,
        ranks: ProcessGroup,
    ) -> None:
        self._model, self._wish, self._device = model, wish, device
        self._emit, self._ranks = emit, ranks

    def choose(self, before: bool | None, work: Callable[[], object], left: int) -> bool:
        """Whether the blocks are compiled from here on; they are then.

        `before` is what an earlier life of the stage chose. `work` computes a micro-batch, of which
        `left` are still to come.
        """
        chosen = self._wish if before is None else before
        if chosen == "auto":
            return self._device.type in TRIED_ON and self._pays(work, left)
        if chosen:
            compile_blocks(self._model)
        return bool(chosen)

    def _pays(self, work: Callable[[], object], left: int) -> bool:
        plain_s = self._seconds(work)
        if not self._ranks.agree(plain_s * left >= LONG_ENOUGH_S):
            return False
        compile_blocks(self._model)
        try:
            compiled_s = self._seconds(work)
        except Exception as error:  # noqa: BLE001 - the compiler's, and no reason to lose a training
            compiled_s = float("inf")
            self._note(f"could not compile ({str(error).splitlines()[0]})", "warning")
        kept = self._ranks.agree(compiled_s <= WORTH * plain_s)
        if not kept:
            undo(self._model)
        if compiled_s < float("inf"):
            what = "enabled" if kept else "not used"
            self._note(f"{plain_s / compiled_s:.2f}x the speed on the largest batch, {what}")
        return kept

    def _seconds(self, work: Callable[[], object]) -> float:
        """The quickest of a few; a first one, which compiles or warms up, does not count."""
        work()
        return min(self._timed(work) for _ in range(ROUNDS))

    def _timed(self, work: Callable[[], object]) -> float:
        self._wait()
        started = time.perf_counter()
        work()
        self._wait()
        return time.perf_counter() - started

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _note(self, text: str, level: Literal["info", "warning"] = "info") -> None:
        self._emit(events.Note(message=f"torch.compile: {text}", level=level))
