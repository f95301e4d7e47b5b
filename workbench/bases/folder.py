"""What a folder has to contain to be a base model, judged by its files' names, sizes and JSON.

Invariant: nothing here reads a weight, so that it can be asked before any is on this machine.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path

from workbench.bases.architecture import check_causal, read_config
from workbench.bases.listing import INDEX, SINGLE, check_names
from workbench.bases.quantization import check_quantization
from workbench.core.errors import UserError
from workbench.core.files import read_json_object

LFS = b"version https://git-lfs"
POINTER_BYTES = 1024  # Git LFS keeps its pointers below that
ADAPTER = "adapter_config.json"


def check_files(folder: Path, name: str = "", *, names: Collection[str] | None = None) -> None:
    """Raise UserError unless `folder` is a base model in Hugging Face layout that can be trained.

    `name` is what the preset calls it. `names`: all files that belong to the model where not all of
    them are in `folder` yet; by default those that are.
    """
    _refuse_pointers(folder)
    found = {path.name for path in folder.iterdir()} if names is None else set(names)
    if ADAPTER in found and not ("config.json" in found and {SINGLE, INDEX} & found):
        _refuse_adapter(folder / ADAPTER)
    if "config.json" not in found:
        _refuse_no_config(folder, found)
    config = read_config(folder)
    check_quantization(folder, name)
    check_causal(config, folder / "config.json")
    check_names(found, folder)


def _refuse_no_config(folder: Path, names: Collection[str]) -> None:
    if any(name.endswith(".gguf") for name in names):
        check_names(names, folder)
    hint = "a base model folder contains config.json, *.safetensors and tokenizer.json"
    raise UserError("config.json is missing", path=folder, hint=hint)


def _refuse_adapter(path: Path) -> None:
    """An adapter cannot stand for a base model: name the one it was trained on."""
    base = read_json_object(path).get("base_model_name_or_path")
    named = f"use model.base = {json.dumps(base)}, which it was trained on"
    hint = f"{named}, or merge the adapter into it first" if base else "merge it into its base"
    raise UserError("this folder contains an adapter, not a base model", path=path, hint=hint)


def _refuse_pointers(folder: Path) -> None:
    """Git LFS leaves small text files where it did not fetch the files themselves."""
    found = sorted(path.name for path in _pointers(folder))
    if found:
        more = f" and {len(found) - 1} more files" if len(found) > 1 else ""
        message = f"{found[0]}{more}: a Git LFS pointer instead of the file"
        raise UserError(message, path=folder, hint="run: git lfs pull")


def _pointers(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            if path.is_file() and path.stat().st_size <= POINTER_BYTES:
                with open(path, "rb") as file:
                    if file.read(len(LFS)) == LFS:
                        yield path
        except OSError:  # unreadable: whoever needs it says so
            continue
