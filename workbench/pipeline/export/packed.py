"""Quantized weights of a base, read as the numbers that they stand for, a few rows at a time.

bitsandbytes, 4-bit: two weights a byte, the first in its upper half, each an index into 16 values;
times the largest magnitude of its block, which may be quantized itself, in 8 bits about an offset.
bitsandbytes, 8-bit: integers times their row's largest magnitude over 127.
FP8 (E4M3): numbers times a scale of their tensor, their row or their block of rows and columns.
As written by bitsandbytes' `QuantState.as_dict`, transformers' `Int8Params` and fine-grained FP8
checkpoints, and compressed-tensors' `float-quantized`.

Invariant: a weight has one name and its true shape; what belongs to it is no tensor of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.bases.quantization import BITSANDBYTES, StoredQuantization
from workbench.core.errors import UserError
from workbench.pipeline.export.stored import Float32, Stored

STATE = ".quant_state.bitsandbytes__"
_BESIDE_4BIT = ("absmax", "quant_map", "nested_absmax", "nested_quant_map")
_BESIDE_8BIT = (".SCB", ".weight_format")
_SCALES = (".weight_scale_inv", ".weight_scale")
_OF_ACTIVATIONS = (
    *(".input_scale", ".output_scale", ".activation_scale", ".q_scale", ".k_scale", ".v_scale"),
)
_DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}
Tensors = dict[str, Stored]


def unpacked(
    tensors: Mapping[str, Stored], quantization: StoredQuantization, dtype: str
) -> Tensors:
    """The weights by their names, as `rows` of float32, without the tensors that describe them.

    `dtype`: the number format that the model is for, as config.json calls it. Raises UserError for
    one that lacks what belongs to it.
    """
    if quantization.method == BITSANDBYTES:
        return _eight_bits(_four_bits(tensors), _DTYPES.get(dtype, "BF16"))
    return _float8(tensors, quantization, _DTYPES.get(dtype, "BF16"))


@dataclass(frozen=True)
class FourBits(Stored):
    """bitsandbytes' 4-bit blocks of a matrix; `values` are the 16 numbers of its kind."""

    packed: Stored
    absmax: Stored
    values: Float32  # (16,)
    block: int
    nested: tuple[Float32, Float32, int, float] | None = None  # values, absmax, block, offset

    def rows(self, first: int = 0, end: int | None = None) -> Float32:
        end = self.shape[0] if end is None else end
        begin, stop = first * self.row_elements, end * self.row_elements
        raw = self.packed.bytes(begin // 2, (stop + 1) // 2 - begin // 2)
        both = np.stack([self.values[raw >> 4], self.values[raw & 15]], axis=1).reshape(-1)
        weights = both[begin % 2 : begin % 2 + stop - begin]
        first_block = begin // self.block
        scales = self._scales(first_block, -(-stop // self.block))
        at = np.arange(begin, stop) // self.block - first_block
        return np.multiply(weights, scales[at]).reshape(end - first, self.row_elements)

    def _scales(self, first: int, end: int) -> Float32:
        """The largest magnitudes of blocks `[first, end)`."""
        if self.nested is None:
            return self.absmax.rows(first, end).reshape(-1)
        values, absmax, block, offset = self.nested
        codes = self.absmax.bytes(first, end - first)
        scales: Float32 = values[codes] * absmax[np.arange(first, end) // block]
        scales += np.float32(offset)
        return scales


@dataclass(frozen=True)
class EightBits(Stored):
    """Integers of 8 bits; `scales` holds the largest magnitude of every row."""

    packed: Stored
    scales: Stored

    def rows(self, first: int = 0, end: int | None = None) -> Float32:
        end = self.shape[0] if end is None else end
        columns = self.row_elements
        raw = self.packed.bytes(first * columns, (end - first) * columns).view(np.int8)
        scales = self.scales.rows().reshape(-1)[first:end] / np.float32(127)
        return raw.reshape(-1, columns).astype(np.float32) * scales[:, None]


@dataclass(frozen=True)
class Float8(Stored):
    """E4M3 numbers; a scale counts for `block` rows and columns."""

    packed: Stored
    scales: Stored
    block: tuple[int, int]

    def rows(self, first: int = 0, end: int | None = None) -> Float32:
        end = self.shape[0] if end is None else end
        (height, width), columns = self.block, self.row_elements
        raw = self.packed.bytes(first * columns, (end - first) * columns).reshape(-1, columns)
        across = -(-columns // width)
        scales = self.scales.rows().reshape(-1, across)[np.arange(first, end) // height]
        wide = np.repeat(scales, width, axis=1)[:, :columns] if across > 1 else scales
        return np.multiply(E4M3[raw], wide)


def _e4m3() -> Float32:
    """The 256 numbers: a sign, 4 bits of exponent about 7, 3 of mantissa; 0x7F is not a number."""
    codes = np.arange(256)
    exponent, mantissa = codes >> 3 & 15, codes & 7
    small = exponent == 0
    values = np.where(small, mantissa / 8, 1 + mantissa / 8) * 2.0 ** np.where(
        small, -6, exponent - 7
    )
    values[codes & 127 == 127] = np.nan
    return np.where(codes < 128, values, -values).astype(np.float32)


E4M3 = _e4m3()


def _four_bits(tensors: Mapping[str, Stored]) -> Tensors:
    states = {name.partition(STATE)[0]: name for name in tensors if STATE in name}
    beside = {f"{name}.{part}" for name in states for part in _BESIDE_4BIT} | set(states.values())
    kept = {name: stored for name, stored in tensors.items() if name not in beside}
    for name, state in states.items():
        kept[name] = _four_bit(name, tensors, state)
    return kept


def _four_bit(name: str, tensors: Mapping[str, Stored], state: str) -> FourBits:
    packed, told = _need(tensors, name, name), _settings(tensors[state])
    absmax = _need(tensors, f"{name}.absmax", name)
    nested = None
    if "nested_blocksize" in told:
        inner = [_need(tensors, f"{name}.nested_{part}", name) for part in ("quant_map", "absmax")]
        values, of_blocks = (one.rows().reshape(-1) for one in inner)
        nested = (values, of_blocks, int(told["nested_blocksize"]), float(told["nested_offset"]))
    return FourBits(
        packed.file,
        packed.offset,
        _DTYPES.get(str(told.get("dtype")), "BF16"),
        tuple(int(n) for n in told["shape"]),
        packed,
        absmax,
        _need(tensors, f"{name}.quant_map", name).rows().reshape(-1),
        int(told["blocksize"]),
        nested,
    )


def _settings(state: Stored) -> dict[str, Any]:
    try:
        found = json.loads(state.bytes(0, state.shape[0]).tobytes())
        if {"shape", "blocksize"} <= found.keys():
            return dict(found)
    except (ValueError, AttributeError, IndexError):
        pass
    raise UserError("the quantization state of a weight is damaged", path=state.file)


def _eight_bits(tensors: Tensors, dtype: str) -> Tensors:
    found = Tensors()
    for name, stored in tensors.items():
        module = name.removesuffix(".weight")
        if name.endswith(_BESIDE_8BIT):
            continue
        if stored.dtype == "I8":
            scales = _need(tensors, f"{module}.SCB", name)
            stored = EightBits(stored.file, stored.offset, dtype, stored.shape, stored, scales)
        found[name] = stored
    return found


def _float8(tensors: Mapping[str, Stored], settings: StoredQuantization, dtype: str) -> Tensors:
    found = Tensors()
    for name, stored in tensors.items():
        if name.endswith(_SCALES) or name.endswith(_OF_ACTIVATIONS):
            continue
        if stored.dtype == "F8_E4M3":
            module = name.removesuffix(".weight")
            scales = next((tensors[module + s] for s in _SCALES if module + s in tensors), None)
            if scales is None:
                raise UserError(f"{name} is FP8 without a scale", path=stored.file)
            block = _block(name, stored, scales, settings)
            stored = Float8(stored.file, stored.offset, dtype, stored.shape, stored, scales, block)
        found[name] = stored
    return found


def _block(
    name: str, stored: Stored, scales: Stored, settings: StoredQuantization
) -> tuple[int, int]:
    """For how many rows and columns of the weight a scale counts."""
    if len(stored.shape) == 2:
        rows, columns = stored.shape
        there = scales.shape if len(scales.shape) == 2 else (*scales.shape, 1, 1)[:2]
        for height, width in ((rows, columns), (1, columns), settings.block):
            if height and there == (-(-rows // height), -(-columns // width)):
                return height, width
    message = f"{name}: scales of shape {scales.shape} do not fit a weight of {stored.shape}"
    raise UserError(message, path=stored.file)


def _need(tensors: Mapping[str, Stored], name: str, of: str) -> Stored:
    if name not in tensors:
        raise UserError(
            f"{of} is quantized, but {name} is missing", path=next(iter(tensors.values())).file
        )
    return tensors[name]
