"""Templates and sampling settings in a GGUF file, under the keys of the gguf package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import pytest

from workbench.pipeline.export.gguf_keys import write_named_templates, write_sampling
from workbench.pipeline.models.serving_files import generation_values
from workbench.preset.schema import Generate


def written(path: Path, templates: dict[str, str], generation: dict[str, Any]) -> dict[str, Any]:
    writer = gguf.GGUFWriter(path, "llama")
    write_named_templates(writer, templates)
    write_sampling(writer, generation)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    fields = gguf.GGUFReader(path).fields
    prefixes = ("general.sampling.", "tokenizer.")
    return {key: field.contents() for key, field in fields.items() if key.startswith(prefixes)}


def test_templates_as_the_reference_converter_writes_them(tmp_path: Path) -> None:
    ours = written(tmp_path / "a", {"tool_use": "t", "r-g": "r"}, {})
    writer = gguf.GGUFWriter(tmp_path / "b", "llama")
    writer.add_chat_template(
        [{"name": "tool_use", "template": "t"}, {"name": "r-g", "template": "r"}]
    )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    theirs = {key: f.contents() for key, f in gguf.GGUFReader(tmp_path / "b").fields.items()}
    theirs["tokenizer.chat_templates"].sort()
    assert ours == {key: value for key, value in theirs.items() if key.startswith("tokenizer.")}
    assert ours["tokenizer.chat_templates"] == ["r_g", "tool_use"]


def test_sampling_settings(tmp_path: Path) -> None:
    generate = Generate(temperature=0.5, top_k=0, top_p=1.0, min_p=0.25, repeat_penalty=1.5)
    found = written(tmp_path / "a", {}, generation_values(generate, [2], pad_id=0))
    assert found == {
        "general.sampling.temp": 0.5,
        "general.sampling.top_k": 0,
        "general.sampling.top_p": 1.0,
        "general.sampling.min_p": 0.25,
        "general.sampling.penalty_repeat": 1.5,
        "general.sampling.penalty_last_n": 64,
    }


@pytest.mark.parametrize("generation", [{}, {"top_k": None, "eos_token_id": 2}])
def test_what_is_not_set_is_not_written(generation: dict[str, Any], tmp_path: Path) -> None:
    assert written(tmp_path / "a", {}, generation) == {}


def test_greedy_is_temperature_zero(tmp_path: Path) -> None:
    greedy = generation_values(Generate(temperature=0, repeat_penalty=1.0), [2], pad_id=0)
    found = written(tmp_path / "a", {}, greedy)
    assert found == {"general.sampling.temp": 0.0, "general.sampling.penalty_repeat": 1.0}
