"""What the trained model itself answers: logits by transformers and peft, in float32.

float32 because transformers in bfloat16 is 1e-4 nats away from itself. Nothing here is shared with
the export's own reading and merging: the last adapter answers unmerged, as it was trained (peft's
merge changes both ends of a model whose input and output embedding are one matrix). When the model
does not fit into memory, its first layers stand for it: every kind of layer, the embeddings and the
head are among them.
"""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from workbench.pipeline.export.plan import ExportPlan
from workbench.pipeline.models.weights import Weights

MEMORY_SHARE = 0.6  # of what is free: the model in float32 may take so much
_LAYER = re.compile(r"\.layers\.(\d+)\.")


def layers_that_fit(plan: ExportPlan, memory_bytes: int | None = None) -> int:
    """All layers when the model in float32 fits into `memory_bytes` (default: what is free now),
    else the few that the architecture needs to show every kind of layer."""
    import psutil

    free = psutil.virtual_memory().available if memory_bytes is None else memory_bytes
    elements = sum(int(np.prod(t.shape, dtype=np.int64)) for t in plan.tensors)
    if 4 * elements <= MEMORY_SHARE * free:
        return plan.config.layers
    return plan.family.layers_for_parity(plan.config)


def write_reference(
    weights: Weights,
    probes: Sequence[Sequence[int]],
    folder: Path,
    *,
    rows: int,
    layers: int,
    quantization: str = "none",
    then: Callable[[Any], None] = lambda model: None,
) -> list[Path]:
    """Write the logits of every probe to `folder`, one .npy (positions, rows) each; their paths.

    `rows`: rows of the embedding after training. `layers`: how many of the model's to keep.
    `quantization`: how training held the base; "none" is the base as it is stored. `then` is given
    the model before it is let go.
    Raises UserError without the library that quantizes.
    """
    import torch

    paths = []
    folder.mkdir(parents=True, exist_ok=True)
    with quiet():
        model = _load(weights, folder, rows, layers, quantization)
        for i, ids in enumerate(probes):
            with torch.no_grad():
                logits = model(torch.tensor([list(ids)]), use_cache=False).logits[0]
            paths.append(folder / f"logits-{i}.npy")
            np.save(paths[-1], logits.float().numpy(), allow_pickle=False)
        then(model)
    return paths


def _load(weights: Weights, folder: Path, rows: int, layers: int, quantization: str) -> Any:
    import torch

    from workbench.pipeline.models.causal_lm import load_causal, text_config
    from workbench.pipeline.training.model import quantization_config

    config = text_config(weights.base)
    full = config.num_hidden_layers
    _cut(config, layers)
    how: dict[str, Any] = {"dtype": torch.float32, "attn_implementation": "eager"}
    coarse = quantization != "none"
    if coarse:
        how |= {"quantization_config": quantization_config(quantization, torch.float32)}
        how |= {"device_map": {"": torch.device("cpu")}}
    model = load_causal(weights.base, config=config, **how)
    if model.get_input_embeddings().weight.shape[0] != rows:
        model.resize_token_embeddings(rows, mean_resizing=False)
    paths = [
        adapter if layers >= full else _cut_adapter(adapter, folder / f"a{i}", layers)
        for i, adapter in enumerate(weights.adapters)
    ]
    return (_beside if coarse else _merged)(model, paths).eval()


def _merged(model: Any, adapters: Sequence[Path]) -> Any:
    """All adapters but the last merged, that one as it was trained."""
    from workbench.pipeline.training.lora import PeftModel, without_bitsandbytes

    for i, path in enumerate(adapters):
        with without_bitsandbytes():
            model = PeftModel.from_pretrained(model, path)
        if i + 1 < len(adapters):
            model = model.merge_and_unload()
    return model


def _beside(model: Any, adapters: Sequence[Path]) -> Any:
    """All adapters beside the quantized weights, into which none can be merged, as in training."""
    from peft import PeftModel

    names = [f"stage_{number}" for number, _ in enumerate(adapters)]
    for name, path in zip(names, adapters, strict=True):
        if name == names[0]:
            model = PeftModel.from_pretrained(model, path, adapter_name=name)
        else:
            model.load_adapter(path, name)
    if len(names) > 1:
        model.base_model.set_adapter(names)
    return model


def _cut(config: Any, layers: int) -> None:
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]


def _cut_adapter(adapter: Path, folder: Path, layers: int) -> Path:
    """A copy of the adapter without the factors of later layers."""
    from safetensors import safe_open
    from safetensors.numpy import save_file

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    config = json.loads((adapter / "adapter_config.json").read_bytes())
    if isinstance(config.get("layers_to_transform"), list):
        config["layers_to_transform"] = [n for n in config["layers_to_transform"] if n < layers]
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    with safe_open(adapter / "adapter_model.safetensors", framework="pt") as stored:
        kept = {
            key: stored.get_tensor(key).float().numpy()
            for key in stored.keys()
            if _kept(key, layers)
        }
    save_file(kept, folder / "adapter_model.safetensors")
    return folder


def _kept(key: str, layers: int) -> bool:
    match = _LAYER.search(key)
    return match is None or int(match[1]) < layers


@contextmanager
def quiet() -> Iterator[None]:
    """Loading prints progress bars and advice that are of no use in a log."""
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    level = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
