"""What goes with weights: generation settings that transformers takes, and copies of files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import GenerationConfig

from workbench.pipeline.models.serving_files import (
    copy_serving_files,
    generation_values,
    ids_in,
    read_generation,
    with_stops,
)
from workbench.preset.schema import Generate

SAMPLED = Generate(temperature=0.7, top_k=20, top_p=0.8, min_p=0.05, repeat_penalty=1.1)


@pytest.mark.parametrize("generate", [SAMPLED, Generate(temperature=0)])
def test_transformers_takes_them_without_a_warning(generate: Generate, tmp_path: Path) -> None:
    values = generation_values(generate, [5, 0], pad_id=3, bos_id=1)
    (tmp_path / "generation_config.json").write_text(json.dumps(values))
    found = GenerationConfig.from_pretrained(tmp_path)
    found.validate(strict=True)
    assert found.do_sample is (generate.temperature > 0) and found.eos_token_id == [5, 0]
    assert (found.pad_token_id, found.bos_token_id, found.max_new_tokens) == (3, 1, 512)
    assert read_generation(tmp_path) == values
    if generate is SAMPLED:
        numbers = (found.temperature, found.top_k, found.top_p, found.min_p)
        assert numbers == (0.7, 20, 0.8, 0.05) and found.repetition_penalty == 1.1


def test_what_is_not_known_is_left_out() -> None:
    values = generation_values(Generate(temperature=0), [7], pad_id=None)
    assert values["pad_token_id"] == 7 and "bos_token_id" not in values
    assert "eos_token_id" not in generation_values(Generate(), [], pad_id=None)


def test_ids_of_any_form() -> None:
    assert [ids_in(value) for value in (None, 3, [3, 4], ["x"])] == [[], [3], [3, 4], []]


def test_the_config_has_the_same_ids_at_every_level() -> None:
    config = {"eos_token_id": 1, "text_config": {"eos_token_id": 1, "hidden_size": 8}, "x": 2}
    made = with_stops(config, {"eos_token_id": [5, 1], "pad_token_id": 0})
    text = {"eos_token_id": [5, 1], "pad_token_id": 0, "hidden_size": 8}
    assert made == {"eos_token_id": [5, 1], "pad_token_id": 0, "x": 2, "text_config": text}
    assert with_stops({"eos_token_id": 1}, {"eos_token_id": [5]}) == {"eos_token_id": 5}
    assert with_stops(config, {}) == config


def test_only_what_serves_is_copied(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    (source / "additional_chat_templates").mkdir(parents=True)
    target.mkdir()
    names = {"tokenizer.json", "chat_template.jinja", "additional_chat_templates/tool_use.jinja"}
    for name in (*names, "manifest.json", "model.safetensors"):
        (source / name).write_text("x")
    copy_serving_files(source, target)
    copied = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert copied == names
