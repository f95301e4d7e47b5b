"""A base as the causal language model that it is; of a multimodal one, the part that reads text.

A checkpoint for text and images (Gemma 3 from 4B on) holds a whole text model under another name,
beside a vision tower. Only the text model is made and only its weights are read: the tower costs
neither memory nor time. Its modules are called, and it is saved, as a model of text alone.

Weights stored quantized are read as plain float32, by the reader of the export, when transformers
requests them: its own loading keeps them quantized, in modules that nothing can be merged into, and
needs a GPU for FP8. So training, parity and the files start from the same numbers.

Invariant: every weight of a model that is returned comes from the base's files. Where these hold an
output head that differs from the embedding, the model has both, whatever config.json says. What it
makes of a sequence does not depend on the others in a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
from transformers.utils import logging

from workbench.bases.architecture import read_config
from workbench.bases.quantization import stored_quantization
from workbench.core.errors import UserError
from workbench.core.text import listed, quantity
from workbench.pipeline.export.safetensors_reader import SafetensorsFolder
from workbench.pipeline.models.rotary import separate_sequences

# Stored names -> names of the text model: as published (`language_model.model.layers`, what
# transformers also writes) and as they are in memory (`model.language_model.layers`).
TEXT_NAMES = {
    r"^language_model\.lm_head\.": "lm_head.",
    r"^language_model\.model\.": "model.",
    r"^model\.language_model\.": "model.",
}
_MISSING_HINT = "use a complete copy of the base model; training would start them at random"


def load_configs(base: Path) -> tuple[Any, Any]:
    """(transformers' configuration of the base, that of the text model in it); often the same.

    Raises UserError for a model that transformers does not know or whose settings are not valid.
    """
    try:
        whole = AutoConfig.from_pretrained(base, trust_remote_code=False)
    except (OSError, ValueError, KeyError, StrictDataclassError) as error:
        raise cannot_load(error, base) from error
    text = whole.get_text_config(decoder=True)
    for config in (whole, text):
        if hasattr(config, "quantization_config"):  # its weights are dequantized when they are read
            del config.quantization_config
    return whole, whole if text.model_type == whole.model_type else text


def text_config(base: Path) -> Any:
    """transformers' configuration of the text model in folder `base`."""
    return load_configs(base)[1]


def load_causal(base: Path, *, config: Any = None, **arguments: Any) -> Any:
    """The text model of folder `base`, by transformers; a `config` may be cut off or changed.

    Raises UserError with names when a weight is missing or has another shape, and what transformers
    raises: OSError, ValueError, KeyError, SafetensorError.
    """
    whole, text = load_configs(base)
    config = config or text
    arguments |= loading_arguments(multimodal=text is not whole)
    with quiet_loading():
        tensors = dequantized(base)
        if tensors is None:
            model, told = AutoModelForCausalLM.from_pretrained(
                base, config=config, trust_remote_code=False, **arguments
            )
        else:
            model, told = _from_tensors(base, config, tensors, arguments)
    require_loaded(told, type(model).__name__, base)
    if text is not whole:
        model._weight_conversions = None  # else it would be saved under the names it was read by
    _keep_own_head(model)
    separate_sequences(model)
    return model


def _from_tensors(
    base: Path, config: Any, tensors: Mapping[str, Any], arguments: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The model and transformers' loading info, its weights taken from `tensors`."""
    arguments.setdefault("dtype", config.dtype or torch.float32)
    model, told = model_class(config).from_pretrained(
        None, config=config, state_dict=dict(tensors), **arguments
    )
    model.name_or_path = config._name_or_path = str(base)
    if (base / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(base)
    return model, told


def model_class(config: Any) -> Any:
    """transformers' class of the causal language model with that configuration."""
    with torch.device("meta"):
        return type(AutoModelForCausalLM.from_config(config))


def loading_arguments(*, multimodal: bool) -> dict[str, Any]:
    """How `from_pretrained` is called, so that it reports what did not fit instead of raising."""
    names = {"key_mapping": TEXT_NAMES} if multimodal else {}
    return {"output_loading_info": True, "ignore_mismatched_sizes": True, **names}


def require_loaded(told: Mapping[str, Any], model: str, base: Path) -> None:
    """Raise UserError, with names, unless every weight of the `model` was in the files.

    `told` is transformers' loading info. Tensors without a place in the model are not looked at.
    """
    if missing := sorted(told["missing_keys"]):
        found = f"{quantity(len(missing), 'weight')} of {model} missing: {listed(missing)}"
        raise UserError(found, path=base, hint=_MISSING_HINT)
    if mismatched := sorted(told["mismatched_keys"]):
        shapes = [
            f"{name} is {_shape(have)} instead of {_shape(want)}" for name, have, want in mismatched
        ]
        message = f"{quantity(len(shapes), 'weight')} not of the shape that {model} has"
        hint = "config.json and the weights are not of the same model"
        raise UserError(f"{message}: {listed(shapes)}", path=base, hint=hint)


def cannot_load(error: Exception, base: Path) -> UserError:
    """What transformers raised, as one line."""
    told = error.__cause__ if isinstance(error, StrictDataclassError) else error
    lines = str(told or error).splitlines()
    return UserError(f"this base model cannot be loaded: {lines[0] if lines else ''}", path=base)


def _shape(shape: Any) -> str:
    return " x ".join(str(n) for n in shape)


def _keep_own_head(model: Any) -> None:
    """transformers does not tie a head that was stored with other values than the embedding's;
    without this, config.json would have it tied as soon as rows are added or the model is saved."""
    head = model.get_output_embeddings()
    if head is not None and head.weight is not model.get_input_embeddings().weight:
        model.config.tie_word_embeddings = False


@contextmanager
def quiet_loading() -> Iterator[None]:
    """transformers reports tables of keys and advice; what matters of it is raised here."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


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


def causal_model(model: Any) -> Any:
    """The transformers causal model inside a PEFT wrapper, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def head_logits(causal: Any, hidden: Tensor) -> Tensor:  # (N, C) -> (N, V)
    """The output head with the model family's own scaling: Cohere, Granite, Gemma 2 and 3."""
    logits = causal.get_output_embeddings()(hidden)
    config = causal.config
    if scale := getattr(config, "logit_scale", None):
        logits = logits * scale
    if scaling := getattr(config, "logits_scaling", None):
        logits = logits / scaling
    if cap := getattr(config, "final_logit_softcapping", None):
        logits = cap * torch.tanh(logits / cap)
    return logits
