"""Which device and number format a run uses, and what they have in store."""

from __future__ import annotations

import psutil
import torch

from workbench.core.errors import UserError
from workbench.preset.schema import Model, TrainStage

OUT_OF_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "MPS backend out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_device(wish: str) -> torch.device:
    """`auto` takes CUDA, then MPS, then the CPU. Raises UserError when the wished one is absent."""
    have = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wish == "auto":
        return torch.device(next((name for name, there in have.items() if there), "cpu"))
    if not have.get(wish, True):
        raise UserError(
            f"model.device: this machine has no {wish} device", hint='use "auto" or "cpu"'
        )
    return torch.device(wish)


def pick_dtype(wish: str, device: torch.device) -> torch.dtype:
    """`auto`: float32 on the CPU, bfloat16 elsewhere (float16 on CUDA cards before Ampere)."""
    if wish != "auto":
        return DTYPES[wish]
    if device.type == "cpu":
        return torch.float32
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


def weights_dtype(stage: TrainStage, model: Model, device: torch.device) -> torch.dtype:
    """The format that the base is loaded in: float32 where all of its weights are trained."""
    return torch.float32 if stage.adapter.kind == "full" else pick_dtype(model.dtype, device)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory did not suffice; torch has several ways to say it."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in OUT_OF_MEMORY)


def memory_bytes(device: torch.device) -> int:
    """Peak memory of the GPU since the process began, or the process's resident size now."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    return int(psutil.Process().memory_info().rss)
