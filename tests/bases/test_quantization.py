"""Quantized bases, by the config.json that each method leaves: refused in one line, or known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from workbench.bases.quantization import (
    check_quantization,
    stored_quantization,
    unquantized_name,
)
from workbench.core.errors import UserError

GROUPS: dict[str, Any] = {
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 4, "type": "int", "group_size": 128, "strategy": "group"},
        }
    },
    "ignore": ["lm_head"],
    "quant_method": "compressed-tensors",
}
FLOAT8: dict[str, Any] = {
    "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 8}}},
    "format": "float-quantized",
    "quant_method": "compressed-tensors",
}
MLX: dict[str, Any] = {"group_size": 64, "bits": 4, "mode": "affine"}
# what stands in config.json -> how it is named
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "gptq": (
        {"quantization_config": {"bits": 4, "group_size": 128, "quant_method": "gptq"}},
        "GPTQ, 4-bit",
    ),
    "awq": (
        {"quantization_config": {"bits": 4, "quant_method": "awq", "version": "gemm"}},
        "AWQ, 4-bit",
    ),
    "compressed": (
        {"quantization_config": {**GROUPS, "format": "pack-quantized"}},
        "compressed-tensors, 4-bit",
    ),
    "compressed as of 2024": (
        {"compression_config": {**GROUPS, "format": "pack-quantized"}},
        "compressed-tensors, 4-bit",
    ),
    "mxfp4": ({"quantization_config": {"quant_method": "mxfp4"}}, "MXFP4"),
    "mlx": ({"quantization": MLX}, "MLX, 4-bit"),
    "mlx twice": ({"quantization": MLX, "quantization_config": MLX}, "MLX, 4-bit"),
    "in the text model": (
        {"text_config": {"quantization_config": {"quant_method": "awq", "bits": 4}}},
        "AWQ, 4-bit",
    ),
    "new": ({"quantization_config": {"quant_method": "novel"}}, "novel"),
    "nameless": ({"quantization_config": {"zero_point": True}}, "unknown method"),
}


def base(folder: Path, config: dict[str, Any], card: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **config}))
    if card:
        (folder / "README.md").write_text(card)
    return folder


@pytest.mark.parametrize("kind", REFUSED)
def test_a_method_without_a_way_back_is_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    config, label = REFUSED[kind]
    folder = base(tmp_path / "Qwen2.5-7B-Instruct-GPTQ-Int4", config)
    with pytest.raises(UserError) as told:
        check_quantization(folder, "Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4")
    line = str(told.value)
    assert "\n" not in line and f"quantized ({label}) and cannot be trained" in line
    assert "use Qwen/Qwen2.5-7B-Instruct;" in line and line.startswith(f"{folder}/config.json:")


@pytest.mark.parametrize(
    ("settings", "label"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes, 4-bit"),
        ({"_load_in_8bit": True, "quant_method": "bitsandbytes"}, "bitsandbytes, 8-bit"),
        ({"load_in_8bit": True, "llm_int8_threshold": 6.0}, "bitsandbytes, 8-bit"),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "FP8"),
        ({"quant_method": "fbgemm_fp8"}, "FBGEMM_FP8"),
        (FLOAT8, "compressed-tensors"),
    ],
)
def test_a_method_with_plain_scales_is_known(
    settings: dict[str, Any], label: str, tmp_path: Path
) -> None:
    stored = check_quantization(base(tmp_path, {"quantization_config": settings}))
    assert stored is not None and stored.dequantizes and stored.label == label


@pytest.mark.parametrize(
    "config", [{}, {"quantization_config": None}, {"quantization_config": {}}, {"text_config": {}}]
)
def test_a_plain_base_is_not_quantized(config: dict[str, Any], tmp_path: Path) -> None:
    assert stored_quantization(config) is None
    assert check_quantization(base(tmp_path, config)) is None


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", "Qwen/Qwen2.5-7B-Instruct"),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", "Qwen/Qwen2.5-7B-Instruct"),
        ("Qwen/Qwen3-4B-FP8", "Qwen/Qwen3-4B"),
        ("unsloth/Qwen3-4B-unsloth-bnb-4bit", "unsloth/Qwen3-4B"),
        ("unsloth/Llama-3.2-1B-Instruct-bnb-4bit", "unsloth/Llama-3.2-1B-Instruct"),
        ("mlx-community/Llama-3.2-1B-Instruct-4bit", "Llama-3.2-1B-Instruct"),
        ("mlx-community/gemma-3-1b-it-8bit", "gemma-3-1b-it"),
        ("TheBloke/Mistral-7B-Instruct-v0.2-GPTQ", "Mistral-7B-Instruct-v0.2"),
        ("RedHatAI/Qwen2.5-7B-Instruct-quantized.w4a16", "Qwen2.5-7B-Instruct"),
        ("openai/gpt-oss-20b", ""),
        ("./llama-AWQ", "llama"),
    ],
)
def test_the_name_tells_the_unquantized_base_model(name: str, found: str, tmp_path: Path) -> None:
    assert unquantized_name(base(tmp_path, {}), name) == found


def test_the_model_card_knows_better_than_the_name(tmp_path: Path) -> None:
    for card in ("base_model: we/first", "base_model:\n- we/first", "base_model: [we/first]"):
        folder = base(tmp_path, {}, f"---\nlicense: mit\n{card}\n---\n# A model\n")
        assert unquantized_name(folder, "mlx-community/first-4bit") == "we/first"
    broken = base(tmp_path, {}, "---\nbase_model: [\n---\n")
    assert unquantized_name(broken, "we/second-AWQ") == "we/second"


def test_a_card_that_names_a_quantized_copy_names_nothing(tmp_path: Path) -> None:
    card = "---\nbase_model: unsloth/Qwen3-4B-unsloth-bnb-4bit\n---\n"
    folder = base(tmp_path, {"_name_or_path": "Qwen/Qwen3-4B"}, card)
    assert unquantized_name(folder, "me/mine-4bit") == "Qwen/Qwen3-4B"


def test_the_cache_of_the_hub_tells_the_name(tmp_path: Path) -> None:
    folder = tmp_path / "models--we--some-model-AWQ" / "snapshots" / "0123abcd"
    assert unquantized_name(base(folder, {}), str(folder)) == "we/some-model"
