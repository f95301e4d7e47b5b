"""What a run tells of itself at evaluations: the loss on a general text, answers to fixed prompts.

It may take a share of the time that training took so far; an evaluation that would exceed it goes
without. The first look (step 0, the model as the stage found it) and the last are always taken.
Nothing here changes what is trained. Of several ranks the first decides, and asks the prompts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import torch

from workbench.core import files
from workbench.core.text import visible
from workbench.dataset.rows import Place, Row
from workbench.objectives.base import SamplePrompt
from workbench.pipeline.training.device import out_of_memory
from workbench.pipeline.training.distributed.collectives import SINGLE_PROCESS, ProcessGroup
from workbench.pipeline.training.sample_generation import (
    Sample,
    SampleSettings,
    generate_samples,
)
from workbench.pipeline.training.token_dataset import TokenDataset
from workbench.run import events
from workbench.run.events import Emit
from workbench.tokenization.documents import encode_document
from workbench.tokenization.tokenizer import Tokenizer

GENERAL_BLOCK = 512


@dataclass(frozen=True)
class MonitorPlan:
    """What is looked at. `folder` gets the answers as files; no prompts, no answers."""

    time_share: float
    folder: Path | None = None
    prompts: Sequence[SamplePrompt] = ()
    asking: SampleSettings | None = None
    general: TokenDataset | None = None


NO_MONITORING = MonitorPlan(time_share=0.0)


class TrainingMonitor:
    """Called by the loop at step 0 and at every evaluation, with the seconds trained so far."""

    def __init__(
        self,
        monitor_plan: MonitorPlan,
        model: Any,
        loss_of: Callable[[TokenDataset], float],
        emit: Emit,
        ranks: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self._watched, self._model, self._ranks = monitor_plan, model, ranks
        self._loss_of, self._emit = loss_of, emit
        self._spent_s = self._last_s = 0.0

    def look(self, step: int, trained_s: float, always: bool = False) -> None:
        """Measure and ask, where the time allows it or `always`."""
        allowed = self._spent_s + self._last_s <= self._watched.time_share * trained_s
        if not self._ranks.agree(always or allowed):
            return
        started = time.perf_counter()
        if self._watched.general is not None:
            self._general(step, self._watched.general)
        if self._ranks.first and self._watched.prompts and self._watched.asking:
            self._try_answers(step, self._watched.asking)
        self._last_s = time.perf_counter() - started
        self._spent_s += self._last_s

    def _try_answers(self, step: int, asking: SampleSettings) -> None:
        """Training goes on without answers where memory does not suffice for them."""
        try:
            self._answers(step, asking)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            self._watched = replace(self._watched, prompts=())
            message = "watch.prompts are disabled from here on: out of memory"
            self._emit(events.Note(message=message, level="warning"))

    def _general(self, step: int, examples: TokenDataset) -> None:
        started = time.perf_counter()
        loss = self._loss_of(examples)
        self._emit(
            events.GeneralMeasured(
                step=step,
                loss=loss,
                tokens=int(examples.targets.sum()),
                elapsed_s=time.perf_counter() - started,
            )
        )

    def _answers(self, step: int, asking: SampleSettings) -> None:
        prompts = self._watched.prompts
        found = generate_samples(self._model, prompts, asking)
        if asking.should_stop():  # what was cut off by that tells nothing
            return
        for prompt, said in zip(prompts, found, strict=True):
            self._emit(
                events.Sampled(
                    step=step, prompt=prompt.text, answer=said.text, stopped=said.stopped
                )
            )
        if self._watched.folder is not None:
            _keep(self._watched.folder, step, prompts, found)


def general_examples(tokenizer: Tokenizer, separator_id: int, longest: int) -> TokenDataset:
    """The general text that ships, in blocks of at most `longest` tokens; all of them count."""
    row = Row(Place("general.txt", 1), text=general_text())
    return TokenDataset.of(
        encode_document(row, tokenizer, min(longest, GENERAL_BLOCK), separator_id)
    )


@cache
def general_text() -> str:
    """A few kilobytes of plain prose, talk, code and figures, written for this purpose."""
    return resources("workbench.pipeline.training").joinpath("general.txt").read_text("utf-8")


def _keep(
    folder: Path, step: int, prompts: Sequence[SamplePrompt], found: Sequence[Sample]
) -> None:
    """The answers of one step as a text that a person reads: `step-000040.txt`."""
    parts = []
    for prompt, said in zip(prompts, found, strict=True):
        end = "" if said.stopped else "\n[token limit reached]"
        parts.append(f"> {visible(prompt.text)}\n\n{visible(said.text)}{end}\n")
    folder.mkdir(parents=True, exist_ok=True)
    rule = "\n" + "-" * 80 + "\n\n"
    files.write_atomic(folder / f"step-{step:06d}.txt", rule.join(parts))
