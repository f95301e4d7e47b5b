"""Checkpoints: folders that are whole or absent, in safetensors and JSON, no pickle.

    step-000040/
      trainable.safetensors   every parameter that the stage trains
      optimizer.safetensors   the optimizer's state, `name/key`
      state.json              counters; see `Counters`
      manifest.json           bytes and SHA-256 of each, written last

Random numbers need no saving: every step seeds itself from (seed, step).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from workbench.core import files
from workbench.core.errors import UserError
from workbench.pipeline.training import optimizer as optimizers
from workbench.pipeline.training.distributed.sharding import full_tensor, local_tensor, part_like

PREFIX = "step-"


@dataclass
class Counters:
    """Where a stage stands. `plan` is the hash of what must not change between start and resume.

    `parts` is into how many parts each micro-batch is cut, for want of memory. `general` is the
    loss on the general text before the first step and when it was measured last. `extensions` are
    those of the stage that had begun. `loss_scale` and `steps_in_range` are for float16, see
    `scaling`; `compiled` is what was chosen, see `compiling`.
    """

    plan: str
    step: int = 0
    best_loss: float | None = None
    best_step: int = 0
    evaluations_without_gain: int = 0
    tokens: int = 0
    parts: int = 1
    general: list[float] = field(default_factory=list)
    extensions: list[int] = field(default_factory=list)
    loss_scale: float = 65536.0
    steps_in_range: int = 0
    compiled: bool | None = None


def save(
    folder: Path,
    counters: Counters,
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
) -> Path:
    """Write `folder/step-N`, whole or not at all; raises OSError when the disk is full."""
    target = folder / name_of(counters.step)
    trained = {name: full_tensor(p.detach()).contiguous().cpu() for name, p in parameters.items()}
    with files.whole_folder(target) as tmp:
        save_file(trained, tmp / "trainable.safetensors")
        save_file(optimizers.state_tensors(optimizer, parameters), tmp / "optimizer.safetensors")
        files.write_json(tmp / "state.json", asdict(counters))
    return target


def name_of(step: int) -> str:
    """What the checkpoint after that step is called."""
    return f"{PREFIX}{step:06d}"


def all_finite(parameters: Mapping[str, nn.Parameter]) -> bool:
    """Whether no weight here is infinite or NaN: others are not worth keeping."""
    return all(bool(torch.isfinite(local_tensor(p)).all()) for p in parameters.values())


def join_save(parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
    """On the other ranks, while the first one saves: give it what is shared out."""
    for parameter in parameters.values():
        full_tensor(parameter.detach())
    for parameter in parameters.values():
        for value in optimizer.state.get(parameter, {}).values():
            if isinstance(value, Tensor):
                full_tensor(value)


def newest(folder: Path, refuse: Callable[[Path, str], None]) -> Path | None:
    """The newest checkpoint that verifies; `refuse` hears of each one passed over, and why."""
    for path in reversed(list(steps(folder))):
        if fault := files.verify(path):
            refuse(path, fault)
        else:
            return path
    return None


def steps(folder: Path) -> Iterator[Path]:
    """All checkpoint folders, oldest first, whole or not."""
    yield from sorted(path for path in folder.glob(f"{PREFIX}*") if path.is_dir())


def load(
    path: Path,
    plan: str,
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
) -> Counters:
    """Put a checkpoint's tensors in place and return its counters.

    Raises UserError when it belongs to another plan: other data, base or settings.
    """
    counters = Counters(**json.loads((path / "state.json").read_bytes()))
    if counters.plan != plan:
        hint = "start a new run, or restore the data, base model and preset"
        raise UserError(
            "this checkpoint was trained with other data or settings", path=path, hint=hint
        )
    _copy_into(parameters, load_file(path / "trainable.safetensors"), path)
    optimizers.load_state(optimizer, parameters, load_file(path / "optimizer.safetensors"))
    return counters


def prune(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints, and what killed writers left."""
    for path in list(steps(folder))[: -keep or None]:
        files.remove_folder(path)
    files.sweep(folder)


@torch.no_grad()
def _copy_into(
    parameters: Mapping[str, nn.Parameter], tensors: Mapping[str, Tensor], path: Path
) -> None:
    if set(tensors) != set(parameters):
        odd = sorted(set(tensors) ^ set(parameters))[0]
        raise UserError(f"the checkpoint and the model differ at {odd}", path=path)
    for name, parameter in parameters.items():
        parameter.copy_(part_like(parameter, tensors[name]))
