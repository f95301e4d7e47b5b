from __future__ import annotations

import re

import pytest
from llama_cpp import llama_cpp

from workbench.core.errors import UserError
from workbench.inference.quantization import (
    KINDS,
    NEED_IMPORTANCE_MATRIX,
    estimated_bytes,
    kind_named,
)
from workbench.pipeline.export.tensor_types import TYPES


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_numbers_are_llama_cpps(kind: object) -> None:
    found = KINDS[str(getattr(kind, "name", ""))]
    name = "ALL_F32" if found.name == "f32" else f"MOSTLY_{found.name.upper()}"
    assert found.number == getattr(llama_cpp, f"LLAMA_FTYPE_{name}")


def test_what_is_streamed_is_what_the_export_writes() -> None:
    assert {kind.name for kind in KINDS.values() if kind.streamed} == set(TYPES)
    for name, made in TYPES.items():
        assert KINDS[name].number == int(made.file_type)
        assert KINDS[name].is_float != made.quantized


@pytest.mark.parametrize("name", NEED_IMPORTANCE_MATRIX)
def test_types_that_need_a_matrix_are_refused_with_the_reason(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} needs an importance matrix"):
        kind_named(name.upper())


def test_names() -> None:
    assert kind_named(" IQ4_NL ").name == "iq4_nl"
    with pytest.raises(UserError, match=re.escape("did you mean 'q5_k_m'?")):
        kind_named("q5_km")


def test_the_type_with_the_most_bits_tells_the_size() -> None:
    known = [("q4_k_m", 77), ("f16", 1600), ("strange", 5)]
    assert estimated_bytes(KINDS["q8_0"], known) == 850
    assert estimated_bytes(KINDS["q8_0"], [("strange", 5)]) == 0
