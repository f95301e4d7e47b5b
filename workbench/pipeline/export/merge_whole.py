"""The merged model by transformers and peft, for architectures that the export does not know.

The whole model is in memory, in float32 if that fits; `merged_safetensors` needs memory for one
tensor but has to know how the family's files name their tensors. The folder appears whole, with a
manifest, or not at all.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.bases.architecture import named_dtype, read_config
from workbench.core import files
from workbench.pipeline.export.merged_safetensors import BESIDE_BYTES
from workbench.pipeline.export.reference_logits import MEMORY_SHARE
from workbench.pipeline.export.safetensors_reader import SafetensorsFolder
from workbench.pipeline.export.tokenizer_files import read_tokenizer
from workbench.pipeline.export.unused import without_prediction
from workbench.pipeline.models.serving_files import copy_serving_files, read_generation, with_stops
from workbench.pipeline.models.weights import Weights

CONTEXT = 2048  # of a model that names none
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
STORED = "stored"  # the number format of the base
_ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "float64": 8}


@dataclass(frozen=True)
class WholeModel:
    """What is known of a model without its family: `elements` of the base, `dtype` it is stored in,
    `rows` of the embedding after training, `context` in tokens, `layers`, `experts` (0: dense)."""

    elements: int
    dtype: str
    rows: int
    context: int
    layers: int
    experts: int

    def bytes_as(self, dtype: str) -> int:
        """Bytes of the merged folder in that number format."""
        each = _ITEM_BYTES.get(self.dtype if dtype == STORED else dtype, 4)
        return self.elements * each + BESIDE_BYTES

    def fits(self, memory_bytes: int | None = None) -> bool:
        """Whether it fits into memory in float32 (default: into what is free now)."""
        import psutil

        free = psutil.virtual_memory().available if memory_bytes is None else memory_bytes
        return 4 * self.elements <= MEMORY_SHARE * free


def whole_model(weights: Weights, tokenizer: Path) -> WholeModel:
    """The facts of the base of `weights`, by its config.json and its files' headers."""
    from workbench.pipeline.models.causal_lm import text_config

    config = text_config(weights.base)
    stored = SafetensorsFolder(weights.base).tensors.values()
    return WholeModel(
        elements=sum(math.prod(one.shape) for one in stored),
        dtype=named_dtype(read_config(weights.base)) or "float32",
        rows=max(int(config.vocab_size), _tokens(tokenizer)),
        context=int(getattr(config, "max_position_embeddings", None) or CONTEXT),
        layers=int(config.num_hidden_layers),
        experts=max((int(getattr(config, name, None) or 0) for name in EXPERTS), default=0),
    )


def write_whole(
    weights: Weights, tokenizer: Path, folder: Path, *, dtype: str = STORED, card: str = ""
) -> int:
    """Write base and adapters as one model into `folder`, a sibling of which is made meanwhile.

    `dtype`: a name of torch's, or STORED. Returns its bytes. Raises UserError where the base cannot
    be loaded, RunFailed where the disk is too small.
    """
    import torch

    from workbench.pipeline.export.reference_logits import quiet
    from workbench.pipeline.training.model import load

    known = whole_model(weights, tokenizer)
    files.check_space(folder.parent, known.bytes_as(dtype), "the merged model")
    held = torch.float32 if known.fits() else getattr(torch, known.dtype)
    kept = getattr(torch, known.dtype if dtype == STORED else dtype)
    with quiet():
        model = load(weights, device=torch.device("cpu"), dtype=held, vocabulary=_tokens(tokenizer))
        _write(model.to(kept), weights, tokenizer, folder, card)
    return sum(path.stat().st_size for path in folder.iterdir())


def _write(model: Any, weights: Weights, tokenizer: Path, folder: Path, card: str) -> None:
    model.config.use_cache = True  # training switched it off
    try:
        with files.whole_folder(folder) as tmp:
            model.save_pretrained(tmp, max_shard_size="5GB")
            files.write_json(tmp / "config.json", _config(model, weights.base, tokenizer))
            copy_serving_files(tokenizer, tmp)
            if card:
                files.write_atomic(tmp / "README.md", card)
    except BaseException:
        shutil.rmtree(folder.with_name(f"tmp-{folder.name}"), ignore_errors=True)
        raise


def _config(model: Any, base: Path, tokenizer: Path) -> dict[str, Any]:
    """The base's own config.json with what training changed: other tools may know its words only,
    and transformers writes newer ones."""
    values = read_config(base)
    if "text_config" in values:  # of a model that sees too, only the text model was trained
        values = model.config.to_diff_dict()
    for name in ("torch_dtype", "quantization_config"):
        values.pop(name, None)
    values = without_prediction(with_stops(values, read_generation(tokenizer)))
    values["dtype"] = str(model.dtype).removeprefix("torch.")
    values["vocab_size"] = int(model.get_input_embeddings().weight.shape[0])
    values["tie_word_embeddings"] = bool(model.config.tie_word_embeddings)
    return values


def _tokens(tokenizer: Path) -> int:
    """Rows that the tokenizer needs: its highest id and one."""
    return read_tokenizer(tokenizer).highest_id + 1
