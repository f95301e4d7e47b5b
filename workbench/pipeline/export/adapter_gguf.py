"""A LoRA adapter as a GGUF of its own, which llama.cpp adds to a loaded model and takes off again.

llama.cpp computes W x + alpha / r * B (A x), with one alpha for the file and r the columns of B:
what is another scale here (rsLoRA, patterns) goes into B. Names, shapes and the order of rows are
those of the base's GGUF. Format: `llama_adapter_lora_init_impl` in llama.cpp's llama-adapter.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from workbench.architectures import family_of
from workbench.architectures.card import Architecture
from workbench.architectures.model_config import ModelConfig
from workbench.core import files
from workbench.core.errors import UserError
from workbench.pipeline.export.gguf_keys import tensor_name
from workbench.pipeline.export.merged_weights import MergedWeights
from workbench.pipeline.export.peft_adapter import EMBEDDING, PeftAdapter
from workbench.pipeline.export.row_chunks import in_pairs
from workbench.pipeline.export.tensor_encoding import check_finite
from workbench.pipeline.export.weight_deltas import LoraDelta
from workbench.pipeline.models.weights import Weights


class NeedsMerge(UserError):
    """This adapter changes more than a LoRA file can say: it has to be merged."""


@dataclass(frozen=True)
class AdapterFile:
    """What was written. `alpha` is the one in the file."""

    path: Path
    bytes: int
    modules: int
    alpha: float


def write_adapter(base: Path, adapter: PeftAdapter, path: Path, name: str = "") -> AdapterFile:
    """Write `adapter`, which was trained on `base`, to `path` in float32, whole or not at all.

    Raises NotAlone for DoRA and for replaced or added tensors, UserError for an adapter that does
    not fit the base or an architecture that is not supported.
    """
    family, config = family_of(base)
    merged = MergedWeights(
        Weights(base), tied_in_config=family.tied(config), storage=family.storage
    )
    adapter = adapter.stored_as(family.storage, merged.base)
    _check(adapter, merged, family, config)
    deltas = {module: adapter.delta(module) for module in adapter.modules}
    alpha = _alpha(deltas)
    part = path.with_name(f".{path.name}.part")
    writer = gguf.GGUFWriter(part, family.gguf_arch)
    try:
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
        writer.add_name(name or path.stem)
        for module, delta in deltas.items():
            _add(writer, family, config, module, delta, alpha)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        files.fsync_file(part)
        files.rename(part, path)
    finally:
        part.unlink(missing_ok=True)
    return AdapterFile(path, path.stat().st_size, len(deltas), alpha)


def _check(
    adapter: PeftAdapter, merged: MergedWeights, family: Architecture, config: ModelConfig
) -> None:
    merged.check_fits(adapter)
    for name in (*adapter.token_rows, *adapter.experts):
        raise NeedsMerge(f"it changes parts of {name} and must be merged", path=adapter.folder)
    if adapter.replacements:
        name = next(iter(adapter.replacements))
        raise NeedsMerge(f"it replaces {name} and must be merged", path=adapter.folder)
    if any(adapter.replaced(name, merged.base) for name in adapter.copies):
        raise NeedsMerge("it changes the vocabulary size and must be merged", path=adapter.folder)
    for name, parts in adapter.modules.items():
        if "lora_magnitude_vector" in parts:
            raise NeedsMerge(
                "DoRA cannot be applied to a loaded model and must be merged", path=adapter.folder
            )
        if merged.tied and (name.endswith(EMBEDDING) or name not in merged.names):
            reason = "it changes one side of a tied matrix and must be merged"
            raise NeedsMerge(reason, path=adapter.folder)
        pieces = list(family.parts(name, merged.base.shape(name), config))
        if len(pieces) != 1 or pieces[0].of:
            reason = f"it changes {name}, which GGUF stores differently, and must be merged"
            raise NeedsMerge(reason, path=adapter.folder)


def _alpha(deltas: dict[str, LoraDelta]) -> float:
    """The alpha that most modules have by their scale: their B stays as it is."""
    found = [float(np.float32(delta.scale * rank(delta))) for delta in deltas.values()]
    return max(set(found), key=found.count)


def rank(delta: LoraDelta) -> int:
    return int(delta.right.shape[0])


def _add(
    writer: Any,
    family: Architecture,
    config: ModelConfig,
    module: str,
    delta: LoraDelta,
    alpha: float,
) -> None:
    name, heads = tensor_name(family, module, config), family.heads_to_permute(module, config)
    a, b = delta.right, delta.left
    if module.endswith(EMBEDDING):  # llama.cpp takes rows of A by token: see build_inp_embd
        a, b = delta.left, delta.right.T
    elif heads:
        b = in_pairs(b, len(b) // heads)
    b = b * np.float32(delta.scale * rank(delta) / alpha)
    for part, factor in (("a", a), ("b", b)):
        check_finite(factor, module)
        writer.add_tensor(f"{name}.lora_{part}", np.ascontiguousarray(factor, dtype=np.float32))
