"""From the preset's `model.base` to a local folder in Hugging Face layout, and its tokenizer.

A hub model is fetched once, here, before anything else; from then on a run knows folders only.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.core import files
from workbench.bases.folder import check_files
from workbench.bases.listing import has_weights
from workbench.tokenization.named_templates import DEFAULT, write_templates
from workbench.core.files import read_json_object
from workbench.pipeline.models import base_model__pipeline_hub
from workbench.pipeline.models.serving_files import GENERATION, ids_in, read_generation
from workbench.pipeline.models.tokenizer_loading import tokenizes_alike
from workbench.preset.inputs import EMBEDDED, MINIATURE
from workbench.preset.schema import Model
from workbench.preset.lookup import embedded_base

PLAIN_CLASS = "PreTrainedTokenizerFast"
ADDED_TOKEN = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")


def fetch(
    model: Model, progress: base_model__pipeline_hub.Progress | None = None, *, pinned: Path | None = None
) -> Path:
    """The base's folder: shipped, local, or from the hub's cache or the hub itself.

    `progress` hears, about once a second, how many bytes of how many have come from the hub.
    `pinned`: what `fetch_config` gave; the weights then come from the same commit.

    Raises UserError saying what to do: wrong name, licence to accept, no network.
    """
    local = _local(model)
    if local is not None:
        return _checked(local, model.base)
    revision = model.revision if pinned is None else base_model__pipeline_hub.commit_of(pinned)
    folder = base_model__pipeline_hub.snapshot(model.base, revision, progress)
    if not has_weights(folder):  # what is there in their place says why
        check_files(folder, model.base, names=base_model__pipeline_hub.file_names(model.base, folder))
    return _checked(folder, model.base)


def fetch_config(model: Model) -> Path:
    """The base's folder with config.json and tokenizer, weights perhaps not in it yet.

    Raises UserError as `fetch` does.
    """
    local = _local(model)
    return base_model__pipeline_hub.config_snapshot(model.base, model.revision) if local is None else local


def file_names(model: Model, folder: Path) -> frozenset[str]:
    """All files of the base, of a Hub model also those that are not in `folder` yet."""
    if _local(model) is None:
        return base_model__pipeline_hub.file_names(model.base, folder)
    return frozenset(path.name for path in folder.iterdir())


def _local(model: Model) -> Path | None:
    """The folder of a base that needs no hub."""
    if model.base.startswith(EMBEDDED):
        return embedded_base(model.base)
    if model.base.startswith(MINIATURE):
        from workbench.pipeline.models.miniature_model import miniature  # it needs torch

        return miniature(model.base.removeprefix(MINIATURE))
    local = Path(model.base).expanduser()
    return local.resolve() if local.is_dir() else None


def save_tokenizer(
    tokenizer: Any,
    templates: Mapping[str, str],
    folder: Path,
    generation: Mapping[str, Any] | None = None,
    base: Path | None = None,
) -> None:
    """Write the tokenizer as it is in memory: transformers may have changed what the file said.

    `templates`: name -> source of the chat templates in use, none for a model without;
    `generation`: what goes into its generation_config.json; `base`: the folder that it was loaded
    from, whose name for its class is kept where transformers tokenizes the same by it.
    Export, evaluation and chat take it from `folder`, so that all see the ids that training saw.
    """
    tokenizer.chat_template = None
    with files.whole_folder(folder) as tmp:
        tokenizer.save_pretrained(tmp)
        files.write_atomic(tmp / "tokenizer.json", tokenizer.backend_tokenizer.to_str(pretty=False))
        _mend_config(tmp / "tokenizer_config.json", tokenizer)
        if base is not None:
            _keep_class(tmp, base, tokenizer)
        write_templates({DEFAULT: "", **templates}, tmp)
        if generation:
            files.write_json(tmp / GENERATION, generation)


def _mend_config(path: Path, tokenizer: Any) -> None:
    """What other programs stumble over: transformers 5's own name for its plain class, an empty
    chat template, which keeps llama.cpp's converter from the template's own file, and added tokens
    that stand in tokenizer.json alone."""
    config = json.loads(path.read_bytes())
    if config.get("tokenizer_class") == "TokenizersBackend":
        config["tokenizer_class"] = PLAIN_CLASS
    if config.get("chat_template", "") is None:
        del config["chat_template"]
    tokens = sorted(tokenizer.added_tokens_decoder.items())
    config["added_tokens_decoder"] = {
        str(token_id): {key: getattr(token, key) for key in ADDED_TOKEN}
        for token_id, token in tokens
    }
    files.write_atomic(path, json.dumps(config, indent=2))


def _keep_class(folder: Path, base: Path, tokenizer: Any) -> None:
    """Name the base's own class in `folder` where transformers has put its plain one instead.

    llama.cpp's converter reads a Phi-4 by the name alone. One by which transformers would tokenize
    otherwise is not kept.
    """
    path = folder / "tokenizer_config.json"
    plain = json.loads(path.read_bytes())
    named = read_json_object(base / "tokenizer_config.json").get("tokenizer_class")
    if plain.get("tokenizer_class") != PLAIN_CLASS or named in (None, PLAIN_CLASS):
        return
    if not (base / "config.json").is_file():
        return
    shutil.copyfile(base / "config.json", folder / "config.json")
    files.write_atomic(path, json.dumps({**plain, "tokenizer_class": named}, indent=2))
    if not tokenizes_alike(folder, tokenizer):
        files.write_atomic(path, json.dumps(plain, indent=2))
    (folder / "config.json").unlink()


def stop_ids(tokenizer: Any, base: Path) -> list[int]:
    """Ids that end an answer: the tokenizer's eos and those of the generation config."""
    ids = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
    return list(dict.fromkeys([*ids, *ids_in(read_generation(base).get("eos_token_id"))]))


def _checked(folder: Path, name: str) -> Path:
    check_files(folder, name)
    return folder
