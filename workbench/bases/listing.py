"""Whether the files of a model are those of a base model, by their names alone.

So a repository of the Hub is judged before a weight is downloaded, as a folder is.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path

from workbench.core.errors import UserError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
# Either is enough: transformers makes a fast tokenizer of the others.
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack")
_SAVE = "save it with transformers' save_pretrained"


def weight_files(folder: Path) -> list[str]:
    """The files that hold the weights of a model: the single file where it is here, or those of its
    index, as transformers looks for them.

    Raises UserError for a damaged index, or one that names a file outside its folder.
    """
    index = folder / INDEX
    if (folder / SINGLE).is_file() or not index.is_file():
        return [SINGLE]
    try:
        listed = sorted(
            {str(file) for file in json.loads(index.read_bytes())["weight_map"].values()}
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError("not a safetensors index", path=index) from None
    for file in listed:
        if Path(file).name != file:
            raise UserError(f"names a file outside its folder: {file!r}", path=index)
    return listed


def has_weights(folder: Path) -> bool:
    """Whether all files that hold the weights are in `folder`."""
    return all((folder / file).is_file() for file in weight_files(folder))


def check_names(names: Collection[str], folder: Path) -> None:
    """Raise UserError unless a model of the files `names` has safetensors weights and a tokenizer.

    `names`: all files that belong to the model, perhaps not here yet; `folder`: where the small
    ones are.
    """
    _check_weights(names, folder)
    if not any(name in names for name in TOKENIZERS):
        hint = "a base model folder contains tokenizer.json"
        if "tekken.json" in names:
            hint = f"tekken.json is in Mistral's own format; {_SAVE}"
        raise UserError("the tokenizer is missing", path=folder, hint=hint)


def _check_weights(names: Collection[str], folder: Path) -> None:
    if INDEX in names and (folder / INDEX).is_file():
        missing = [file for file in weight_files(folder) if file not in names]
        if missing:
            message = f"lists {missing[0]}, which is missing"
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise UserError(message + more, path=folder / INDEX, hint="download the model again")
        return
    if SINGLE in names or INDEX in names:
        return
    what, hint = next(_instead(names), ("*.safetensors files are missing", _SAVE))
    raise UserError(what, path=folder, hint=hint)


def _instead(names: Collection[str]) -> Iterator[tuple[str, str]]:
    """What there is in place of a model's safetensors, and the way out."""
    if any(name.endswith(".safetensors") for name in names):
        yield f"neither {SINGLE} nor {INDEX} found", _SAVE
    if any(name.endswith(_PICKLED) for name in names):
        hint = "pickled weights (*.bin) are not supported; convert them to safetensors"
        yield "*.safetensors files are missing", hint
    if any(name.endswith(".gguf") for name in names):
        hint = "use the model that the GGUF was made from, in Hugging Face layout"
        yield "contains only GGUF files, which cannot be trained", hint
