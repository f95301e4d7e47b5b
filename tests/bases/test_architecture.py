"""What a config.json says a model is, by names alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workbench.architectures import supported
from workbench.bases.architecture import (
    EXPORTED,
    check_causal,
    named_dtype,
    not_exported,
    read_config,
)
from workbench.core.errors import UserError

PATH = Path("config.json")
CAUSAL: tuple[dict[str, Any], ...] = (
    {"architectures": ["LlamaForCausalLM"], "model_type": "llama"},
    {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"},
    {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3"},
    {"model_type": "qwen2"},
    {"architectures": ["ChatGLMModel"], "auto_map": {"AutoModelForCausalLM": "modeling.ChatGLM"}},
)
OTHERS: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, "names no architecture"),
    ({"architectures": ["BertForMaskedLM"]}, "BertForMaskedLM is an encoder"),
    (
        {"architectures": ["Qwen2ForSequenceClassification"]},
        "Qwen2ForSequenceClassification is a classifier",
    ),
    ({"architectures": ["Qwen3Model"]}, "Qwen3Model has no language model head"),
    (
        {"architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True},
        "T5ForConditionalGeneration is an encoder-decoder model",
    ),
)


def test_the_light_table_is_that_of_the_export() -> None:
    assert list(EXPORTED) == supported()


@pytest.mark.parametrize("config", CAUSAL)
def test_a_causal_language_model_passes(config: dict[str, Any]) -> None:
    check_causal(config, PATH)


@pytest.mark.parametrize(("config", "line"), OTHERS)
def test_another_model_is_named_with_a_way_out(config: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as told:
        check_causal(config, PATH)
    assert str(told.value).startswith(f"config.json: {line}") and told.value.hint


@pytest.mark.parametrize("text", ["", "[1]", "{"])
def test_a_damaged_config_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match="not a model configuration"):
        read_config(tmp_path)


def test_only_what_the_export_cannot_write_is_refused() -> None:
    assert not_exported({"architectures": ["LlamaForCausalLM"]}, PATH) is None
    refused = not_exported({"architectures": ["FalconForCausalLM"]}, PATH)
    assert refused and "FalconForCausalLM cannot be written as GGUF" in str(refused)


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"dtype": "float16", "torch_dtype": "bfloat16"}, "float16"),
        ({"torch_dtype": "bfloat16"}, "bfloat16"),
        ({"text_config": {"dtype": "bfloat16"}}, "bfloat16"),
        ({}, ""),
    ],
)
def test_the_number_format_is_named_here_or_in_the_text_part(
    config: dict[str, Any], name: str
) -> None:
    assert named_dtype(config) == name
