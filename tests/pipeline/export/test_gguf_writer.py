"""The quick way to a header's bytes against gguf's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import pytest

from workbench.pipeline.export.gguf_writer import HeaderWriter

LISTS: dict[str, list[Any]] = {
    "texts": ["a", "", "Grüße ▁ \U0001f600", "x" * 300],
    "bytes": [b"a", b"\xff\x00"],
    "both": ["a", b"\xff"],
    "whole": [0, -1, 2**31 - 1, -(2**31)],
    "parts": [0.1, -1e30, float("inf"), 1e-45],
    "truths": [True, False],
    "nested": [[1, 2], [3]],
}


def header(writer: Any, path: Path) -> bytes:
    writer.add_name("made")
    writer.add_uint32("n", 7)
    for key, values in LISTS.items():
        writer.add_array(key, values)
    writer.add_key_value("wide", [1, 2], gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.UINT64)
    writer.write_header_to_file(path)
    writer.write_kv_data_to_file()
    writer.close()
    return path.read_bytes()


def test_a_header_has_the_bytes_of_gguf(tmp_path: Path) -> None:
    ours = header(HeaderWriter(None, "llama"), tmp_path / "ours")
    assert ours == header(gguf.GGUFWriter(None, "llama"), tmp_path / "theirs")


def test_a_list_of_several_types_is_refused(tmp_path: Path) -> None:
    writer = HeaderWriter(None, "llama")
    writer.add_array("mixed", [1, "a"])
    writer.write_header_to_file(tmp_path / "mixed")
    with pytest.raises(ValueError, match="same type"):
        writer.write_kv_data_to_file()
    writer.close()
