from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from workbench.core.errors import UserError
from workbench.pipeline.export.safetensors_reader import SafetensorsFolder

FLOATS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}


@pytest.mark.parametrize("dtype", FLOATS)
def test_rows_are_the_stored_values(dtype: str, tmp_path: Path) -> None:
    tensor = torch.randn(7, 3, 2).to(FLOATS[dtype])
    save_file({"pad": torch.zeros(3), "w": tensor}, tmp_path / "model.safetensors")
    shards = SafetensorsFolder(tmp_path)
    assert shards.shape("w") == (7, 3, 2)
    assert np.array_equal(shards.rows("w", 2, 5), tensor[2:5].float().numpy().reshape(3, 6))
    assert np.array_equal(shards.rows("w"), tensor.float().numpy().reshape(7, 6))


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    save_file({"a": torch.zeros(2)}, tmp_path / "model-1.safetensors")
    with pytest.raises(UserError, match=r"model-2.safetensors: this file of the model is missing"):
        SafetensorsFolder(tmp_path)
    save_file({"c": torch.zeros(2)}, tmp_path / "model-2.safetensors")
    with pytest.raises(UserError, match="lists tensor b, which no file contains"):
        SafetensorsFolder(tmp_path)


@settings(deadline=None)
@given(cut=st.integers(min_value=0, max_value=700))
def test_a_file_cut_anywhere_is_refused(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("cut")
    path = folder / "model.safetensors"
    save_file({"a": torch.zeros(80), "b": torch.ones(100)}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: min(cut, len(whole) - 1)])
    with pytest.raises(UserError, match="model.safetensors"):
        SafetensorsFolder(folder)


def _with_header(folder: Path, header: Any, data: bytes = b"\0" * 64) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    return folder


ATTACKS: list[Any] = [
    b"\xff\xfe not json",
    [1, 2],
    {"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 1 << 60]}},
    {"a": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}},
    {"a": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}},
    {"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 16]}},
    {"a": {"dtype": "F32", "shape": [4]}},
    {"a": 3},
]


@pytest.mark.parametrize("header", ATTACKS)
def test_a_header_that_cannot_be_true_is_refused(header: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        SafetensorsFolder(_with_header(tmp_path, header))
    assert "\n" not in str(caught.value)


def test_a_header_length_beyond_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
    with pytest.raises(UserError, match="not a safetensors file, or truncated"):
        SafetensorsFolder(tmp_path)


def test_an_index_cannot_point_outside(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "../other/model.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="outside its folder"):
        SafetensorsFolder(tmp_path)


def test_quantized_bases_are_refused_with_the_way_out(tmp_path: Path) -> None:
    save_file({"w": torch.zeros(4, dtype=torch.uint8)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="stored as U8.*full-precision base model"):
        SafetensorsFolder(tmp_path).check_readable("w")
