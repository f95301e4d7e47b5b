"""What a folder has to contain to be a base model, judged by its files' names, sizes and JSON.

Invariant: nothing here reads a weight, so that it can be asked before any is on this machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.errors import UserError
from workbench.pipeline.base_quantization import check_quantization

LFS = b"version https://git-lfs"
POINTER_BYTES = 1024  # Git LFS keeps its pointers below that
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
ADAPTER = "adapter_config.json"


def check_files(folder: Path, name: str = "", *, weights: bool = True) -> None:
    """Raise UserError unless `folder` is a base model in Hugging Face layout.

    `name` is what the preset calls it. Without `weights` the folder may still lack them: then the
    kind of base is judged by the rest, a quantized one that cannot be trained among it.
    """
    _refuse_pointers(folder)
    config = folder / "config.json"
    if (folder / ADAPTER).is_file() and not (config.is_file() and _weights(folder)):
        _refuse_adapter(folder / ADAPTER)
    if not config.is_file():
        hint = "a base model folder contains config.json, *.safetensors and tokenizer.json"
        raise UserError("config.json is missing", path=folder, hint=hint)
    check_quantization(folder, name)
    if weights:
        _require_weights(folder)


def _require_weights(folder: Path) -> None:
    if _weights(folder):
        return
    if not any(folder.glob("*.safetensors")):
        hint = "pickled weights (*.bin) are not supported; convert them to safetensors"
        raise UserError("*.safetensors files are missing", path=folder, hint=hint)
    message = f"neither {WEIGHTS[0]} nor {WEIGHTS[1]} found"
    raise UserError(message, path=folder, hint="save it with transformers' save_pretrained")


def _weights(folder: Path) -> bool:
    return any((folder / name).is_file() for name in WEIGHTS)


def _refuse_adapter(path: Path) -> None:
    """An adapter is no base; the one that it was trained on is."""
    base = _json(path).get("base_model_name_or_path")
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


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
