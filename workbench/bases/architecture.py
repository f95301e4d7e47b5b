"""What a config.json says a model is: a causal language model, or something that cannot be tuned.

Judged by names alone, without transformers: whether it can load the model is asked later, by
`pipeline.base_checks`, before any weight is downloaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.core.errors import UserError

# What the export writes itself; `architectures` has the table, and a test holds them equal.
EXPORTED = (
    "Cohere2ForCausalLM",
    "CohereForCausalLM",
    "DeepseekV2ForCausalLM",
    "Gemma2ForCausalLM",
    "Gemma3ForCausalLM",
    "Gemma3ForConditionalGeneration",
    "GemmaForCausalLM",
    "GraniteForCausalLM",
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "MixtralForCausalLM",
    "Olmo2ForCausalLM",
    "Phi3ForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen2MoeForCausalLM",
    "Qwen3ForCausalLM",
    "Qwen3MoeForCausalLM",
    "SmolLM3ForCausalLM",
    "Starcoder2ForCausalLM",
)
WITHOUT_EXPORT = (
    "set export.converter to llama.cpp's convert_hf_to_gguf.py, or export.formats = [] to train "
    "without GGUF files, or run with --stages prepare,train"
)
USE_CAUSAL = "use a causal language model such as Qwen/Qwen3-0.6B"
_CAUSAL = re.compile(r"CausalLM|LMHead|ForConditionalGeneration|ForImageTextToText")
_ENCODER = re.compile(r"MaskedLM|ForPreTraining")
_HEADS = re.compile(r"For(\w*Classification|QuestionAnswering|MultipleChoice|Regression|Reward\w*)")


def read_config(folder: Path) -> dict[str, Any]:
    """The config.json in `folder`, parsed.

    Raises UserError where it is missing or not a JSON object.
    """
    path = folder / "config.json"
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError("config.json is missing: not a model folder", path=folder) from None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UserError("not a model configuration", path=path, hint="download the model again")
    return found


def architecture_of(config: Mapping[str, Any]) -> str:
    """The name of the model's class, "" where the config does not say."""
    names = config.get("architectures")
    return str(names[0]) if isinstance(names, list) and names else ""


def named_dtype(config: Mapping[str, Any]) -> str:
    """The number format that the model is for ("bfloat16"), "" where the config does not say."""
    text = config.get("text_config")
    for values in (config, text if isinstance(text, Mapping) else {}):
        if found := values.get("dtype") or values.get("torch_dtype"):
            return str(found)
    return ""


def check_causal(config: Mapping[str, Any], path: Path) -> None:
    """Raise UserError unless `config`, parsed from `path`, is that of a causal language model."""
    name, kind = architecture_of(config), str(config.get("model_type") or "")
    if not name and not kind:
        hint = "a config.json of transformers names architectures and model_type"
        raise UserError("names no architecture", path=path, hint=hint)
    if config.get("is_encoder_decoder"):
        what = f"{name or kind} is an encoder-decoder model"
    elif not name or _CAUSAL.search(name) or needs_code(config):
        return
    elif _ENCODER.search(name):
        what = f"{name} is an encoder, which fills gaps and does not generate text"
    elif _HEADS.search(name):
        what = f"{name} is a classifier and generates no text"
    else:
        what = f"{name} has no language model head"
    raise UserError(what, path=path, hint=USE_CAUSAL)


def needs_code(config: Mapping[str, Any]) -> bool:
    """Whether the model names Python code of its own for generating text."""
    code = config.get("auto_map")
    return isinstance(code, Mapping) and "AutoModelForCausalLM" in code


def not_exported(config: Mapping[str, Any], path: Path) -> UserError | None:
    """The error for an architecture that the export does not write itself, None for one it does."""
    name = architecture_of(config)
    if name in EXPORTED:
        return None
    message = f"architecture {name or '(none)'} cannot be written as GGUF by workbench"
    return UserError(message, path=path, hint=WITHOUT_EXPORT)
