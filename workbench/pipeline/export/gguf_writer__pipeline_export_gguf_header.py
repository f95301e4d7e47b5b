"""What a GGUF file begins with: keys, vocabulary, and where each tensor will be.

By the `gguf` package, all but the lists of a vocabulary: it takes several calls for each of some
hundred thousand entries, and `_packed` one for them all. The bytes are the same.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from workbench.pipeline.export.plan import ExportPlan
from workbench.pipeline.export.serving_keys import write_named_templates, write_sampling
from workbench.pipeline.export.tensor_types import GgufType, n_bytes
from workbench.pipeline.export.vocabulary import Vocabulary, model_name, write_vocabulary

_ARRAY = gguf.GGUFValueType.ARRAY
_NUMBERS = {int: "<i4", float: "<f4"}


class HeaderWriter(gguf.GGUFWriter):
    """gguf's writer, quick with long lists."""

    def _pack_val(self, val: Any, vtype: Any, add_vtype: bool, sub_type: Any = None) -> bytes:
        packed = _packed(val) if vtype == _ARRAY and sub_type is None else None
        if packed is None:
            return bytes(super()._pack_val(val, vtype, add_vtype, sub_type))
        item_type = gguf.GGUFValueType.get_type(val[0])
        start = struct.pack("<I", vtype) if add_vtype else b""
        return start + struct.pack("<IQ", item_type, len(val)) + packed


def _packed(values: Any) -> bytes | None:
    """The bytes of a list's items, None for what is no list of one plain type."""
    kinds = set(map(type, values)) if isinstance(values, list) else set()
    if len(kinds) == 1 and (number := _NUMBERS.get(next(iter(kinds)))):
        return np.array(values, number).tobytes()
    if not kinds or not kinds <= {str, bytes}:
        return None
    pieces = list[bytes]()
    for value in values:
        raw = value.encode() if isinstance(value, str) else value
        pieces += (len(raw).to_bytes(8, "little"), raw)
    return b"".join(pieces)


def write_header(plan: ExportPlan, kind: GgufType, path: Path) -> None:
    """Write everything before the tensors' bytes."""
    writer = HeaderWriter(None, plan.family.gguf_name)
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(model_name(plan.name, plan.vocabulary))
    writer.add_file_type(int(kind.file_type))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    plan.family.keys(writer, plan.config, plan.vocabulary_size)
    write_vocabulary(writer, plan.vocabulary, plan.chat_template)
    write_named_templates(writer, plan.named_templates)
    write_sampling(writer, plan.generation)
    _add_tensors(writer, plan, plan.types.index(kind))
    _write(writer, path)


def write_vocabulary_file(vocabulary: Vocabulary, path: Path) -> None:
    """Write a file without tensors that llama.cpp opens for its vocabulary alone."""
    writer = HeaderWriter(None, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.LLAMA])
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(model_name("vocabulary", vocabulary))
    write_vocabulary(writer, vocabulary, "")
    _write(writer, path)


def _write(writer: HeaderWriter, path: Path) -> None:
    try:
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
    finally:
        writer.close()


def _add_tensors(writer: Any, plan: ExportPlan, i: int) -> None:
    for tensor in plan.tensors:
        form = tensor.formats[i]
        size = n_bytes(form, tensor.shape)
        writer.add_tensor_info(
            tensor.name, tensor.shape, np.dtype(np.float32), size, raw_dtype=form
        )
