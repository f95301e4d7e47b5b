"""A model's files by their names: whether they are those of a base model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workbench.bases.listing import INDEX, SINGLE, check_names, has_weights, weight_files
from workbench.core.errors import UserError

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
SMALL = ("config.json", "tokenizer.json")


def index(folder: Path, *names: str) -> Path:
    weights = {f"layer.{i}": name for i, name in enumerate(names)}
    (folder / INDEX).write_text(json.dumps({"weight_map": weights}))
    return folder


def test_only_the_files_of_the_index_hold_the_weights(tmp_path: Path) -> None:
    assert weight_files(tmp_path) == [SINGLE]
    index(tmp_path, *SHARDS, SHARDS[0])
    assert weight_files(tmp_path) == list(SHARDS) and not has_weights(tmp_path)
    for name in SHARDS:
        (tmp_path / name).touch()
    (tmp_path / "consolidated.safetensors").touch()
    assert weight_files(tmp_path) == list(SHARDS) and has_weights(tmp_path)


def test_a_single_file_comes_before_the_index(tmp_path: Path) -> None:
    index(tmp_path, *SHARDS)
    (tmp_path / SINGLE).touch()
    assert weight_files(tmp_path) == [SINGLE] and has_weights(tmp_path)
    check_names([*SMALL, SINGLE, INDEX], tmp_path)
    (tmp_path / INDEX).write_text("damaged, and not asked")
    assert weight_files(tmp_path) == [SINGLE]


@pytest.mark.parametrize("name", ["../model.safetensors", "original/model.safetensors"])
def test_an_index_names_no_file_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="outside its folder"):
        weight_files(index(tmp_path, name))


@pytest.mark.parametrize(
    "names", [[SINGLE], [INDEX, *SHARDS], [SINGLE, "consolidated.safetensors"]]
)
def test_a_whole_model_passes(tmp_path: Path, names: list[str]) -> None:
    if INDEX in names:
        index(tmp_path, *SHARDS)
    check_names([*SMALL, *names], tmp_path)


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ([*SMALL], "*.safetensors files are missing (save it"),
        ([*SMALL, "pytorch_model.bin"], "are missing (pickled weights (*.bin) are not supported"),
        ([*SMALL, "model-q4_k_m.gguf"], "contains only GGUF files"),
        ([*SMALL, "consolidated.safetensors"], "neither model.safetensors nor"),
        (["config.json", SINGLE], "the tokenizer is missing"),
        (["config.json", SINGLE, "tekken.json"], "tekken.json is in Mistral's own format"),
        ([*SMALL, INDEX, SHARDS[0]], f"lists {SHARDS[1]}, which is missing"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, names: list[str], line: str) -> None:
    index(tmp_path, *SHARDS)
    with pytest.raises(UserError) as told:
        check_names(names, tmp_path)
    assert line in str(told.value) and told.value.hint
