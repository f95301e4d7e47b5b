"""A base as the causal language model that it is; of one that sees too, the part that reads.

A checkpoint for text and images (Gemma 3 from 4B on) holds a whole text model under another name,
beside a vision tower. Only the text model is made and only its weights are read: the tower costs
neither memory nor time. Its modules are called, and it is saved, as a model of text alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

# Stored names -> names of the text model: as published (`language_model.model.layers`, what
# transformers also writes) and as they are in memory (`model.language_model.layers`).
TEXT_NAMES = {
    r"^language_model\.lm_head\.": "lm_head.",
    r"^language_model\.model\.": "model.",
    r"^model\.language_model\.": "model.",
}


def text_config(base: Path) -> Any:
    """transformers' configuration of the text model in folder `base`."""
    return AutoConfig.from_pretrained(base).get_text_config(decoder=True)


def load_causal(base: Path, *, config: Any = None, **arguments: Any) -> Any:
    """The text model of folder `base`, by transformers; a `config` may be cut off or changed.

    Raises what transformers raises: OSError, ValueError, KeyError, SafetensorError.
    """
    whole = AutoConfig.from_pretrained(base)
    config = config or whole.get_text_config(decoder=True)
    if config.model_type == whole.model_type:
        return AutoModelForCausalLM.from_pretrained(base, config=config, **arguments)
    return _text_part(base, config, arguments)


def _text_part(base: Path, config: Any, arguments: dict[str, Any]) -> Any:
    """No weight of the tower is looked for, so none is a fault; a missing one of the text is."""
    arguments |= {"key_mapping": TEXT_NAMES, "output_loading_info": True}
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        model, told = AutoModelForCausalLM.from_pretrained(base, config=config, **arguments)
    finally:
        logging.set_verbosity(level)
    if told["missing_keys"]:
        raise ValueError(f"no weights for {min(told['missing_keys'])}")
    model._weight_conversions = None  # else it would be saved under the names it was read by
    return model
