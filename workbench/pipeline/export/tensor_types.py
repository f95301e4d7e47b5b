"""The GGUF types that can be written and which number format each tensor of a file gets.

The mixtures (`q4_k_m` and its kin) follow llama.cpp's own choice
(`llama_tensor_get_type_impl` in src/llama-quant.cpp), so that a file is the one llama-quantize
would have made. Where a row does not divide into the format's blocks, the fallback is llama.cpp's
as well, and it is reported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from gguf import GGML_QUANT_SIZES
from gguf import GGMLQuantizationType as Q
from gguf import LlamaFileType as F

from workbench.core.errors import UserError
from workbench.core.text import did_you_mean

BIG_LAYERS = 80  # llama.cpp calls a Llama or Qwen2 of this depth 70B and is kinder to attn_v
EIGHT = 8  # experts of a Mixtral, whose attention llama.cpp gives more bits
_BLOCK = re.compile(r"blk\.(\d+)\.(\w+)\.weight")
_SENSITIVE = ("attn_v", "attn_qkv", "ffn_down", "ffn_down_exps", "ffn_down_shexp")
_ROUTERS = ("ffn_gate_inp.weight", "ffn_gate_inp_shexp.weight")
_FALLBACK = {Q.Q4_K: Q.Q5_0, Q.Q5_K: Q.Q5_1, Q.Q6_K: Q.Q8_0}


@dataclass(frozen=True)
class GgufType:
    """`base` is the format of most matrices; `file_type` the number in general.file_type."""

    name: str
    base: Any
    file_type: Any

    @property
    def quantized(self) -> bool:
        return self.base not in (Q.F32, Q.F16, Q.BF16)


@dataclass(frozen=True)
class Depth:
    """What the mixtures ask of a model: its layers and experts, and whether the embedding is the
    head too."""

    layers: int
    tied: bool
    eases_attn_v: bool = False  # the 80-layer Llama and Qwen2
    experts: int = 0


TYPES = {
    kind.name: kind
    for kind in (
        GgufType("f32", Q.F32, F.ALL_F32),
        GgufType("f16", Q.F16, F.MOSTLY_F16),
        GgufType("bf16", Q.BF16, F.MOSTLY_BF16),
        GgufType("q8_0", Q.Q8_0, F.MOSTLY_Q8_0),
        GgufType("q4_0", Q.Q4_0, F.MOSTLY_Q4_0),
        GgufType("q4_k_s", Q.Q4_K, F.MOSTLY_Q4_K_S),
        GgufType("q4_k_m", Q.Q4_K, F.MOSTLY_Q4_K_M),
        GgufType("q5_k_m", Q.Q5_K, F.MOSTLY_Q5_K_M),
        GgufType("q6_k", Q.Q6_K, F.MOSTLY_Q6_K),
    )
}


def type_named(name: str) -> GgufType:
    """The type of that name in any case. Raises UserError for one that is not written here."""
    kind = TYPES.get(name.lower())
    if kind is None:
        raise UserError(f"unknown GGUF type '{name}'", hint=did_you_mean(name.lower(), TYPES))
    return kind


def preferred_format(kind: GgufType, name: str, shape: tuple[int, ...], depth: Depth) -> Any:
    """The format that the mixture gives to a tensor, blocks not yet looked at."""
    if len(shape) < 2 or name.endswith(("_norm.weight", *_ROUTERS)):
        return Q.F32
    if not kind.quantized:
        return kind.base
    if name == "output.weight" or (depth.tied and name == "token_embd.weight"):
        return _head_format(kind, shape[-1])
    match = _BLOCK.fullmatch(name)
    if match and depth.experts == EIGHT and match[2] in ("attn_k", "attn_v"):
        return Q.Q8_0
    if match and depth.experts == EIGHT and match[2] == "attn_output" and kind.base == Q.Q4_K:
        return Q.Q5_K
    if match and match[2] in _SENSITIVE:
        return _sensitive_format(kind, int(match[1]), match[2], depth)
    return kind.base


def possible_format(wished: Any, columns: int) -> Any:
    """`wished`, or what stands in for it when `columns` does not divide into its blocks."""
    if columns % block_elements(wished) == 0:
        return wished
    second = _FALLBACK.get(wished, Q.F16)
    return second if columns % block_elements(second) == 0 else Q.F16


def block_elements(form: Any) -> int:
    """Elements of one block of the format."""
    return int(GGML_QUANT_SIZES[form][0])


def n_bytes(form: Any, shape: tuple[int, ...]) -> int:
    """Bytes of a tensor in that format."""
    elements, block_bytes = GGML_QUANT_SIZES[form]
    n = 1
    for size in shape:
        n *= size
    return n // int(elements) * int(block_bytes)


def _head_format(kind: GgufType, columns: int) -> Any:
    if columns % block_elements(kind.base) or kind.base == Q.Q8_0:
        return Q.Q8_0
    return Q.Q6_K


def _sensitive_format(kind: GgufType, layer: int, part: str, depth: Depth) -> Any:
    chosen = kind.base
    if kind.name in ("q4_k_m", "q5_k_m") and _more_bits(layer, depth.layers):
        chosen = Q.Q6_K
    if kind.name == "q4_k_s":
        early = layer < (depth.layers // 8 if part.startswith("ffn_down") else 4)
        chosen = Q.Q5_K if early else chosen
    if depth.eases_attn_v and part.startswith("attn") and chosen == Q.Q4_K:
        chosen = Q.Q5_K
    return chosen


def _more_bits(layer: int, layers: int) -> bool:
    """The first and last eighth of the layers and every third between."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2
