"""The pass against llama.cpp's own quantizer: the same bytes, tensor for tensor."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from tests.pipeline.export.helpers import export, plan, save_adapter, save_base
from workbench.core.errors import UserError
from workbench.inference.llama_library import library
from workbench.pipeline.export.tensor_encoding import encode
from workbench.pipeline.export.tensor_types import (
    TYPES,
    Depth,
    possible_format,
    preferred_format,
    type_named,
)
from workbench.pipeline.models.weights import Weights

QUANTIZED = [name for name, kind in TYPES.items() if kind.quantized]


def tensors(path: Path) -> dict[str, tuple[str, Any]]:
    return {t.name: (t.tensor_type.name, np.array(t.data)) for t in gguf.GGUFReader(path).tensors}


def by_llama_cpp(source: Path, target: Path, kind: str) -> Path:
    c = library()
    parameters = c.llama_model_quantize_default_params()
    parameters.ftype, parameters.nthread = int(TYPES[kind].file_type), 1
    status = c.llama_model_quantize(
        str(source).encode(), str(target).encode(), ctypes.byref(parameters)
    )
    assert status == 0
    return target


def assert_same(ours: Path, theirs: Path) -> None:
    one, two = tensors(ours), tensors(theirs)
    assert {n: t for n, (t, _) in one.items()} == {n: t for n, (t, _) in two.items()}
    for name, (_, data) in one.items():
        assert np.array_equal(data, two[name][1]), name


@pytest.mark.parametrize("shape", ["qwen2", "llama", "mixtral", "deepseek2"])
def test_q8_and_q4_k_m_are_llama_cpps_bytes_from_f16(shape: str, tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", shape, hidden=256, dtype=torch.float16, shard="1MB")
    made = export(Weights(base), tmp_path, "f16", "q8_0", "q4_k_m")
    for kind in ("q8_0", "q4_k_m"):
        assert_same(made[kind], by_llama_cpp(made["f16"], tmp_path / "theirs.gguf", kind))


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [256, 192, 80])
@pytest.mark.parametrize(
    "shape",
    ["qwen2", "llama", "phi3", "gemma2", "llama-bias", "qwen3-moe", "mixtral", "deepseek2"],
)
def test_every_type_is_llama_cpps_bytes(shape: str, hidden: int, tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", shape, hidden=hidden, layers=9, shard="1MB")
    weights = Weights(base, (save_adapter(base, tmp_path / "adapter"),))
    made = export(weights, tmp_path, "f32", *QUANTIZED)
    for kind in QUANTIZED:
        assert_same(made[kind], by_llama_cpp(made["f32"], tmp_path / "theirs.gguf", kind))


def test_bf16_without_an_adapter_is_the_bases_own_bits(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "qwen2", dtype=torch.bfloat16)
    planned = plan(Weights(base), ["bf16"])
    made = tensors(export(Weights(base), tmp_path, "bf16")["bf16"])
    for tensor in planned.tensors:
        kind, data = made[tensor.name]
        if kind == "BF16":
            rows = planned.merged.base.rows(tensor.source)
            assert np.array_equal(
                data.view(np.uint16).astype(np.uint32) << 16, rows.view(np.uint32)
            )


def test_f16_rounds_as_the_standard_says() -> None:
    """The processor against numpy: denormals, ties, signed zeros, all exponents."""
    bits = np.random.default_rng(0).integers(0, 1 << 32, size=1 << 18, dtype=np.uint32)
    ties = (np.arange(1 << 15, dtype=np.uint32) << 13 | np.uint32(1 << 12)) + np.uint32(0x33000000)
    values = np.concatenate([bits, ties, ties | np.uint32(1 << 31)]).view(np.float32)
    values = values[np.abs(values) <= 65504][: 1 << 17].reshape(-1, 256)
    q = gguf.GGMLQuantizationType
    with np.errstate(under="ignore"):
        expected = values.astype(np.float16).view(np.uint8)
    assert np.array_equal(encode(values, q.F16), expected)


def test_fallbacks_are_listed_before_any_work(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "qwen2", hidden=48)
    fallbacks = plan(Weights(base), ["f16", "q8_0", "q4_k_m"]).fallbacks
    assert {f.type for f in fallbacks} == {"q8_0", "q4_k_m"}
    (one,) = [f for f in fallbacks if f.tensor == "blk.0.attn_q.weight" and f.type == "q4_k_m"]
    assert (
        str(one) == "blk.0.attn_q.weight: F16 instead of Q4_K; 48 columns are not a multiple of 256"
    )
    wide = save_base(tmp_path / "wide", "qwen2", hidden=256, layers=1)
    assert plan(Weights(wide), ["q4_k_m"]).fallbacks == ()


def test_the_deepest_models_get_more_for_their_values() -> None:
    kind, shape = TYPES["q4_k_m"], (256, 256)
    plain = Depth(80, False)
    eased = Depth(80, False, True)
    names = [f"blk.{i}.attn_v.weight" for i in range(80)]
    assert {preferred_format(kind, n, shape, eased).name for n in names} == {"Q5_K", "Q6_K"}
    assert {preferred_format(kind, n, shape, plain).name for n in names} == {"Q4_K", "Q6_K"}


def test_unknown_types_get_a_suggestion() -> None:
    with pytest.raises(UserError, match="did you mean 'q4_k_m'"):
        type_named("q4_km")
    assert type_named("Q4_K_M").name == "q4_k_m"


def test_a_format_that_fits_stays() -> None:
    q = gguf.GGMLQuantizationType
    assert possible_format(q.Q6_K, 512) == q.Q6_K
    assert possible_format(q.Q6_K, 96) == q.Q8_0
    assert possible_format(q.Q6_K, 50) == q.F16
    assert possible_format(q.Q4_0, 50) == q.F16
