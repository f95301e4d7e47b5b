"""The training loop: exact, resumable at any step, and on one screen.

Every step is a pure function of (weights, optimizer state, step number): its rows come from the
batch plan, its learning rate from the schedule, the random numbers of a micro-batch from (seed,
step, its number). Resuming is therefore starting at another number; on a CPU the bits are those of
an uninterrupted run. Several ranks share a step's micro-batches and add up their gradients.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from itertools import accumulate, compress
from pathlib import Path
from typing import Any, NoReturn

import torch
from accelerate import Accelerator
from torch import nn

from workbench.core.errors import Interrupted, RunFailed, UserError
from workbench.estimate.memory import MemoryEstimate
from workbench.pipeline.training import checkpoint
from workbench.pipeline.training import optimizer as optimizers
from workbench.pipeline.training.batch_plan import (
    BatchPlan,
    MicroBatch,
    MicroBatchSplitter,
    seed_of,
    single_epoch_plan,
)
from workbench.pipeline.training.checkpoint import Counters
from workbench.pipeline.training.compilation import CompileChoice
from workbench.pipeline.training.device import memory_bytes
from workbench.pipeline.training.distributed.collectives import SINGLE_PROCESS, ProcessGroup
from workbench.pipeline.training.distributed.sharding import (
    full_tensor,
    is_sharded,
    reshard,
    unsharded,
)
from workbench.pipeline.training.loss_scale import LossScale
from workbench.pipeline.training.losses.base import Loss
from workbench.pipeline.training.lr_schedule import extended_lr_at
from workbench.pipeline.training.memory_check import (
    PeakMemory,
    largest_micro_batches,
    uncovered_validation_batches,
)
from workbench.pipeline.training.monitor import NO_MONITORING, MonitorPlan, TrainingMonitor
from workbench.pipeline.training.token_dataset import TokenDataset, collate
from workbench.pipeline.training.training_plan import TrainingCallbacks, TrainingPlan
from workbench.run import events


class TrainingLoop:
    """One training stage over one model. `run()` goes on from the newest checkpoint."""

    def __init__(
        self,
        accelerator: Accelerator,
        module: Loss,
        optimizer: torch.optim.Optimizer,
        parameters: dict[str, nn.Parameter],
        *,
        train: TokenDataset,
        validation: TokenDataset,
        plan: BatchPlan,
        validation_plan: BatchPlan | None,
        settings: TrainingPlan,
        hooks: TrainingCallbacks,
        folder: Path,
        plan_hash: str,
        pad_id: int,
        monitor_plan: MonitorPlan = NO_MONITORING,
        memory_estimate: MemoryEstimate | None = None,
        ranks: ProcessGroup = SINGLE_PROCESS,
        half: bool = False,
    ) -> None:
        """`half`: compute in float16, with a scaled loss."""
        self.accelerator, self.parameters = accelerator, parameters
        self.module, self.optimizer = accelerator.prepare(module, optimizer)
        self.raw_optimizer = optimizer
        self.train, self.validation = train, validation
        self.plan, self.validation_plan = plan, validation_plan
        self.settings, self.hooks = settings, hooks
        self.folder, self.pad_id = folder, pad_id
        self.counters = Counters(plan=plan_hash)
        self.memory_estimate = memory_estimate
        self.ranks = ranks
        self._least = math.ceil(ranks.size / len(plan.at(0)))  # parts: a piece at least for each
        self._even = is_sharded(module)  # then every pass is an exchange
        self._fit = MicroBatchSplitter(
            lambda: self.counters, optimizer, hooks.emit, ranks, not self._even
        )
        self._scale = LossScale(lambda: self.counters, half)
        self._half = torch.autocast(accelerator.device.type, torch.float16, enabled=half)
        self._trained_s, self._saved_step = 0.0, 0  # in this life; of the newest checkpoint
        wish = False if self._even and settings.compile == "auto" else settings.compile
        self._compiling = CompileChoice(module.model, wish, accelerator.device, hooks.emit, ranks)
        self._watcher = TrainingMonitor(
            monitor_plan, module.model, self._general_loss, hooks.emit, ranks
        )

    def restore(self) -> None:
        """Go back to the newest checkpoint that verifies, naming those passed over."""
        found = checkpoint.newest(self.folder, self._refused) if self.ranks.first else None
        name = self.ranks.words(found.name if found else "")[0]
        if not name:
            return
        path, plan = self.folder / name, self.counters.plan
        self.counters = checkpoint.load(path, plan, self.parameters, self.raw_optimizer)
        self._saved_step = self.counters.step
        begun = len(self.counters.extensions)
        if self.counters.extensions != list(self.settings.extensions[:begun]):
            hint = "restore train.extensions; you can only append to it"
            message = "this checkpoint was trained with other extensions"
            raise UserError(message, path=path, hint=hint)
        self.hooks.emit(events.Resumed(from_step=self.counters.step, path=path.name))

    def run(self) -> Counters:
        """Train to the end; returns the counters. Raises Interrupted after saving a checkpoint
        when asked to stop, RunFailed when the loss or the gradient is no finite number."""
        self.module.train()
        if not self._stopped_early() and self.counters.step < self.plan.steps:
            self._measure_memory()
            self._compile()
        if self.counters.step == 0:
            self._watcher.look(0, trained_s=0.0, always=True)
        while self.counters.step < self.plan.steps and not self._stopped_early():
            self._step()
            done = self.counters.step
            last = done == self.plan.steps
            if last or done in self.settings.evaluate_at:
                self._evaluate(last)
            stop, save = self._asked()
            if stop or save or last or done in self.settings.save_at:
                self._save()
            if stop and not last:
                raise Interrupted(f"stopped after step {done} of {self.plan.steps}")
        self.hooks.save_weights("final")
        return self.counters

    def _asked(self) -> tuple[bool, bool]:
        """Whether some rank is asked to stop, and to save; the same on all of them."""
        asked = self.ranks.gather(self.hooks.should_stop(), self.hooks.should_checkpoint())
        return any(stop for stop, _ in asked), any(save for _, save in asked)

    def _step(self) -> None:
        step, started = self.counters.step, time.perf_counter()
        learning_rate = self.learning_rate(step)
        optimizers.set_learning_rate(self.raw_optimizer, learning_rate)
        micro_batches = self.plan.at(step)
        trained = sum(int(self.train.targets[list(rows)].sum()) for rows in micro_batches)
        loss, norm = self._gradients_in_range(micro_batches, trained)
        self._refuse_non_finite(step + 1, loss, norm)
        self.optimizer.step()
        self._scale.stepped()
        self.optimizer.zero_grad(set_to_none=True)
        self.counters.step += 1
        self._report(micro_batches, trained, loss, norm, learning_rate, started)

    def _gradients_in_range(
        self, micro_batches: Sequence[MicroBatch], trained: int
    ) -> tuple[float, float]:
        """(loss, gradient norm) of the step; anew where float16 could not hold its gradients."""
        while True:
            loss = self._gradients(micro_batches, trained)
            self._scale.down(self.parameters.values())
            norm = self._clip()
            if not self._scale.overflowed(loss, norm):
                return loss, norm
            self.raw_optimizer.zero_grad(set_to_none=True)

    def _gradients(self, micro_batches: Sequence[MicroBatch], trained: int) -> float:
        """Those of the whole step on every rank; returns its loss."""
        share = self._share(micro_batches, self.plan, self._least)
        loss = self._fit(lambda: self._accumulate(share(), trained), micro_batches)
        self.ranks.sum_gradients(unsharded(self.parameters.values()))
        return self.ranks.total(loss)

    def _share(
        self, micro_batches: Sequence[MicroBatch], plan: BatchPlan, least: int
    ) -> Callable[[], list[tuple[int, MicroBatch]]]:
        """Gives this rank's pieces, each with its number among all: micro-batches, or at `least`
        so many parts of each; more where memory is short."""

        def pieces() -> list[tuple[int, MicroBatch]]:
            parts = list(self._fit.parts(micro_batches, plan, least))
            costs = [plan.slots(rows) for rows in parts]
            return [(n, parts[max(n, ~n)]) for n in self.ranks.mine(costs, self._even)]

        return pieces

    def _accumulate(self, pieces: Sequence[tuple[int, MicroBatch]], trained: int) -> float:
        """Backward over numbered pieces; each token weighs the same whatever piece it is in.

        A piece with a number below 0 is another's: it weighs nothing.
        """
        total = torch.zeros((), device=self.accelerator.device)
        for number, rows in pieces:
            batch = self._batch(self.train, self.plan, rows)
            if batch.trained_tokens == 0 and not self._even:  # nothing to learn here
                continue
            torch.manual_seed(seed_of(self.settings.dropout_seed, self.counters.step, number))
            with self._half:
                loss = self.module(batch) / max(1, trained) * (number >= 0)
            self.accelerator.backward(self._scale.up(loss))
            total += loss.detach()
        return float(total)

    def _clip(self) -> float:
        norm = self.accelerator.clip_grad_norm_(
            self.parameters.values(), self.settings.max_grad_norm or math.inf
        )
        return float(full_tensor(norm))

    def _evaluate(self, last: bool) -> None:
        if self.validation_plan:
            self._validate(self.validation_plan)
        always = last or self._stopped_early()
        self._watcher.look(self.counters.step, self._trained_s, always)

    def _general_loss(self, examples: TokenDataset) -> float:
        plan = single_epoch_plan(examples.lengths, self.plan.settings.packing)
        loss = self.loss_over(examples, plan)
        self.counters.general = [*self.counters.general[:1], loss]
        return loss

    def loss_over(self, examples: TokenDataset, plan: BatchPlan) -> float:
        """Mean loss over all trained tokens, in nats; memory stays that of one micro-batch."""
        batches = [rows for step in range(plan.steps) for rows in plan.at(step)]
        share = self._share(batches, plan, math.ceil(self.ranks.size / len(batches)))
        total = self._fit(lambda: self._total_loss(examples, plan, share()), batches)
        return self.ranks.total(total) / max(1, int(examples.targets.sum()))

    @torch.no_grad()
    def _total_loss(
        self, examples: TokenDataset, plan: BatchPlan, pieces: Sequence[tuple[int, MicroBatch]]
    ) -> float:
        total = 0.0
        self.module.eval()
        for number, rows in pieces:
            batch = self._batch(examples, plan, rows)
            if batch.trained_tokens or self._even:
                with self._half:
                    total += float(self.module(batch)) * (number >= 0)
        self.module.train()
        reshard(self.module)
        return total

    def _validate(self, plan: BatchPlan) -> None:
        started = time.perf_counter()
        loss = self.loss_over(self.validation, plan)
        if not math.isfinite(loss):
            self._diverged(f"the validation loss after step {self.counters.step}")
        tokens = int(self.validation.targets.sum())
        best = self._note_loss(loss)
        elapsed_s = time.perf_counter() - started
        self.hooks.emit(
            events.Validated(
                step=self.counters.step,
                loss=loss,
                trained_tokens=tokens,
                best=best,
                elapsed_s=elapsed_s,
            )
        )
        if best:
            self.hooks.save_weights("best")

    def _note_loss(self, loss: float) -> bool:
        counters = self.counters
        if counters.best_loss is None or loss < counters.best_loss:
            counters.best_loss, counters.best_step = loss, counters.step
            counters.evaluations_without_gain = 0
            return True
        counters.evaluations_without_gain += 1
        return False

    def _stopped_early(self) -> bool:
        patience = self.settings.early_stopping
        return bool(patience) and self.counters.evaluations_without_gain >= patience

    def _save(self, prune: bool = True) -> None:
        if not self._are_numbers():
            self._diverged(f"a weight after step {self.counters.step}")
        started = time.perf_counter()
        self.counters.extensions = self._begun()
        # The adapter first: once the checkpoint stands, nothing of its step is done again.
        self.hooks.save_weights("last")
        self._saved_step = self.counters.step
        if not self.ranks.first:
            return checkpoint.join_save(self.parameters, self.raw_optimizer)
        path = checkpoint.save(self.folder, self.counters, self.parameters, self.raw_optimizer)
        if prune:
            checkpoint.prune(self.folder, self.settings.keep_checkpoints)
        elapsed_s = time.perf_counter() - started
        step, name = self.counters.step, path.name
        self.hooks.emit(events.CheckpointSaved(step=step, path=name, elapsed_s=elapsed_s))

    def _measure_memory(self) -> None:
        """One pass over the worst micro-batches; nothing of it stays but the figure."""

        def pieces(rows: MicroBatch, plan: BatchPlan) -> list[tuple[int, MicroBatch]]:
            least = self._least if plan is self.plan else 1
            return list(enumerate(self._fit.parts([rows], plan, least)))

        def train(rows: MicroBatch) -> None:
            self._fit(lambda: self._accumulate(pieces(rows, self.plan), 1), [rows])
            self.raw_optimizer.zero_grad(set_to_none=True)

        def ask(rows: MicroBatch, plan: BatchPlan) -> None:
            self._fit(lambda: self._total_loss(self.validation, plan, pieces(rows, plan)), [rows])

        peak = PeakMemory(self.accelerator.device)
        for rows in largest_micro_batches(self.plan, self.train):
            train(rows)
        if self.validation_plan:
            for rows in uncovered_validation_batches(
                self.validation_plan, self.validation, self.plan, self.train
            ):
                ask(rows, self.validation_plan)
        allocated = bool(self.raw_optimizer.state)  # else its first step will
        self.hooks.emit(peak.told(self.memory_estimate, with_optimizer=not allocated))

    def _compile(self) -> None:
        """Compile what pays, by the preset or by trying it on the largest micro-batch."""
        rows = largest_micro_batches(self.plan, self.train)[0]
        to_come = self.plan.steps - self.counters.step
        left = to_come * math.ceil(len(self.plan.at(0)) / self.ranks.size)
        pieces = list(enumerate(self._fit.parts([rows], self.plan)))
        self.counters.compiled = self._compiling.choose(
            self.counters.compiled, lambda: self._accumulate(pieces, 1), left
        )
        self.raw_optimizer.zero_grad(set_to_none=True)

    def _batch(self, examples: TokenDataset, plan: BatchPlan, rows: MicroBatch) -> Any:
        device, packing = self.accelerator.device, plan.settings.packing
        return collate(examples, rows, packing=packing, pad_id=self.pad_id, device=device)

    def _begun(self) -> list[int]:
        """The extensions of which a step is done."""
        starts = accumulate(self.settings.extensions, initial=self.settings.planned_steps)
        begun = [start < self.counters.step for start in starts]
        return list(compress(self.settings.extensions, begun))

    def learning_rate(self, step: int) -> float:
        """That of the 0-based step."""
        settings = self.settings
        return extended_lr_at(
            step,
            steps=settings.planned_steps,
            extensions=settings.extensions,
            warmup_steps=settings.warmup_steps,
            learning_rate=settings.learning_rate,
            schedule=settings.schedule,
            min_ratio=settings.min_learning_rate_ratio,
        )

    def _refuse_non_finite(self, step: int, loss: float, norm: float) -> None:
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self._diverged(f"the {'gradient' if math.isfinite(loss) else 'loss'} of step {step}")

    def _diverged(self, what: str) -> NoReturn:
        """Raise RunFailed; the weights as they are stay, where they are numbers."""
        if self._saved_step < self.counters.step and self._are_numbers():
            self._save(prune=False)  # what stood before may be the better one to look at
        name = checkpoint.name_of(self._saved_step) if self._saved_step else ""
        self.hooks.emit(events.Diverged(step=self.counters.step, what=what, checkpoint=name))
        kept = f"the last good checkpoint is {name}" if name else "there is no checkpoint yet"
        raise RunFailed(
            f"training diverged: {what} is not a finite number; {kept} "
            "(lower train.learning_rate or raise train.warmup)"
        )

    def _are_numbers(self) -> bool:
        return not self.ranks.any(not checkpoint.all_finite(self.parameters))

    def _refused(self, path: Path, reason: str) -> None:
        self.hooks.emit(events.CheckpointRefused(path=path.name, reason=reason))

    def _report(
        self,
        micro_batches: tuple[MicroBatch, ...],
        trained: int,
        loss: float,
        norm: float,
        learning_rate: float,
        started: float,
    ) -> None:
        tokens = sum(int(self.train.lengths[list(rows)].sum()) for rows in micro_batches)
        parts = self._fit.parts(micro_batches, self.plan, self._least)
        slots = sum(self.plan.slots(rows) for rows in parts)
        self.counters.tokens += tokens
        elapsed_s = time.perf_counter() - started
        self._trained_s += elapsed_s
        self.hooks.emit(
            events.Step(
                step=self.counters.step,
                steps=self.plan.steps,
                epoch=round(self.plan.epoch_after(self.counters.step), 4),
                loss=loss,
                learning_rate=learning_rate,
                gradient_norm=norm,
                tokens=self.counters.tokens,
                trained_tokens=trained,
                tokens_per_second=tokens / elapsed_s,
                padding_share=1 - tokens / slots,
                elapsed_s=elapsed_s,
                memory_bytes=memory_bytes(self.accelerator.device),
            )
        )
