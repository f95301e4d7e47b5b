"""Stored tensors that the model in config.json does not compute with: they are skipped everywhere.

Older files hold rotary tables and masks. Layers for multi-token prediction, which stand behind the
model's own or under names of their own, are made for decoding ahead: transformers does not load
them, and as they were not trained along they would draft what the base would have said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

TABLES, PREDICTION = "rotary tables and masks", "multi-token prediction"
_TABLES = re.compile(r"(rotary_emb\.\w+|\.attention\.bias|\.masked_bias|(^|\.)position_ids)$")
_PREDICTING = re.compile(r"(^|\.)(mtp|nextn)")
_LAYERS = ("num_nextn_predict_layers", "num_mtp_layers", "mtp_num_hidden_layers")
_LAYER = re.compile(r"\.layers\.(\d+)\.")


def unused(name: str, config: Mapping[str, Any]) -> str:
    """Why the stored tensor is not used, "" for one that is. `config`: values of config.json."""
    if _TABLES.search(name):
        return TABLES
    layer = _LAYER.search(name)
    beyond = layer is not None and int(layer[1]) >= int(config["num_hidden_layers"])
    predicting = any(config.get(key) for key in _LAYERS)
    return PREDICTION if _PREDICTING.search(name) or (beyond and predicting) else ""


def without_prediction(config: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a config.json whose model has no layers for multi-token prediction."""
    return {key: 0 if key in _LAYERS and value else value for key, value in config.items()}
