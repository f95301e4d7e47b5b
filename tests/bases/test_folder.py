"""Folders that are no base model, or not yet: each refused in one line with the way out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests import tiny
from workbench.bases.folder import check_files
from workbench.core.errors import UserError
from workbench.pipeline.models.base_model import fetch
from workbench.preset.schema import Model

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 988097824\n"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "base"))


def refused(folder: Path, names: set[str] | None = None) -> str:
    with pytest.raises(UserError) as told:
        check_files(folder, names=names)
    assert "\n" not in str(told.value)
    return str(told.value)


def test_a_whole_folder_passes_and_one_whose_weights_are_to_come(folder: Path) -> None:
    check_files(folder)
    names = {path.name for path in folder.iterdir()}
    (folder / "model.safetensors").unlink()
    check_files(folder, names=names)
    assert "*.safetensors files are missing" in refused(folder)
    names |= {"pytorch_model.bin"}
    assert "pickled weights (*.bin) are not" in refused(folder, names - {"model.safetensors"})


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_git_lfs_pointer_is_no_file(folder: Path, name: str) -> None:
    (folder / name).write_text(POINTER.format("0" * 64))
    assert (
        refused(folder)
        == f"{folder}: {name}: a Git LFS pointer instead of the file (run: git lfs pull)"
    )


def test_several_pointers_are_counted(folder: Path) -> None:
    for name in ("model.safetensors", "tokenizer.json"):
        (folder / name).write_text(POINTER.format("1" * 64))
    assert "model.safetensors and 1 more files: a Git LFS pointer" in refused(folder)


@pytest.mark.parametrize("leftover", [False, True])
def test_an_adapter_names_its_base(tmp_path: Path, leftover: bool) -> None:
    """Also where a config.json, but no model, lies beside it, as some programs leave it."""
    config = {"peft_type": "LORA", "base_model_name_or_path": "Qwen/Qwen2.5-0.5B-Instruct"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    if leftover:
        (tmp_path / "config.json").write_text("{}")
    line = refused(tmp_path)
    assert line.startswith(f"{tmp_path}/adapter_config.json: this folder contains an adapter")
    assert 'use model.base = "Qwen/Qwen2.5-0.5B-Instruct", which it was trained on' in line


def test_a_base_with_an_adapter_beside_it_is_a_base(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    check_files(folder)


def test_weights_under_another_name_are_not_found(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "consolidated.safetensors")
    assert "neither model.safetensors nor model.safetensors.index.json found" in refused(folder)


def test_what_the_preset_names_is_checked(folder: Path) -> None:
    assert fetch(Model(base=str(folder))) == folder.resolve()
    path = folder / "config.json"
    values = json.loads(path.read_text())
    quantized = {"quantization_config": {"quant_method": "awq", "bits": 4}}
    path.write_text(json.dumps(values | quantized | {"_name_or_path": "we/plain"}))
    with pytest.raises(UserError, match=r"\(AWQ, 4-bit\).*use we/plain;"):
        fetch(Model(base=str(folder)))
