from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.export.helpers import export, plan, save_base
from workbench.pipeline.export import output_files
from workbench.pipeline.export.output_files import requested_types
from workbench.pipeline.export.tensor_types import type_named
from workbench.pipeline.models.weights import Weights


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_base(tmp_path / "base", "llama", hidden=256, shard="1MB")


def test_the_bytes_are_those_of_the_files(base: Path, tmp_path: Path) -> None:
    planned, wished = (
        plan(Weights(base), ["f16", "q4_k_m"]),
        requested_types(["f16", "q4_k_m"], True),
    )
    found = output_files.forecast_export(planned, wished, False, 2)
    files = export(Weights(base), tmp_path, "f16", "q4_k_m")
    for kind, path in files.items():
        header = 100_000  # the reserve for what is no tensor
        assert found.bytes[kind] == pytest.approx(path.stat().st_size, abs=2e6 + header)
    assert found.disk_bytes == planned.total_bytes()
    with_merged = output_files.forecast_export(planned, wished, True, 2)
    assert with_merged.disk_bytes > found.disk_bytes + (base / "config.json").stat().st_size


def test_a_proof_and_another_type_take_disk_and_time_too(base: Path) -> None:
    lone = plan(Weights(base), ["q8_0"])
    twin = plan(Weights(base), ["q8_0", "f16"])
    assert requested_types(["q8_0"], True).in_pass == ("q8_0", "f16")
    with_twin = output_files.forecast_export(twin, requested_types(["q8_0"], True), False, 1)
    without = output_files.forecast_export(lone, requested_types(["q8_0"], False), False, 1)
    assert set(with_twin.bytes) == {"q8_0"} and with_twin.disk_bytes > without.disk_bytes


def test_time_is_counted_up_from_what_an_element_costs(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_files, "encoding_seconds", lambda form: 1.0)
    monkeypatch.setattr(output_files, "BYTE_S", 0.0)
    monkeypatch.setattr(output_files, "MERGE_S", 0.0)
    planned = plan(Weights(base), ["f16"])
    elements = sum(tensor.shape[0] * tensor.columns for tensor in planned.tensors)
    one = output_files.writing_seconds(planned, requested_types(["f16"], True), 1)
    assert one == elements
    assert output_files.writing_seconds(planned, requested_types(["f16"], True), 2) == one / 2
    assert (
        output_files.writing_seconds(planned, requested_types(["f16", "iq4_nl"], True), 1)
        == 2 * one
    )


def test_a_format_costs_what_encoding_a_sample_took() -> None:
    assert output_files.encoding_seconds(type_named("q4_k_m").base) > output_files.encoding_seconds(
        type_named("f16").base
    )
