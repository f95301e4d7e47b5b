"""The weights of a quantized base as transformers takes them: plain, made when it asks for one.

transformers' own loading of such files keeps them quantized, in modules that nothing can be merged
into; and of FP8 it needs a GPU. Here they come by the reader of the export, so that training,
parity and the files start from the same numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.bases.architecture import read_config
from workbench.bases.quantization import stored_quantization
from workbench.pipeline.export.safetensors_reader import SafetensorsFolder


def dequantized(base: Path) -> dict[str, LazyTensor] | None:
    """Name -> weight, none of them read yet; None for a base that is stored in plain numbers."""
    stored = stored_quantization(read_config(base))
    if stored is None or not stored.dequantizes:
        return None
    shards = SafetensorsFolder(base)
    return {name: LazyTensor(shards, name) for name in shards.tensors}


class LazyTensor:
    """A stored tensor that is read, as float32, when it is indexed, as a safetensors slice is."""

    def __init__(self, shards: SafetensorsFolder, name: str) -> None:
        self._shards, self._name = shards, name

    def __getitem__(self, index: Any) -> Tensor:
        rows = np.require(self._shards.rows(self._name), requirements="W")
        return torch.from_numpy(rows).reshape(self._shards.shape(self._name))[index]

    def get_shape(self) -> list[int]:
        return list(self._shards.shape(self._name))

    @property
    def shape(self) -> torch.Size:
        return torch.Size(self._shards.shape(self._name))

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32

    def is_floating_point(self) -> bool:
        return True
