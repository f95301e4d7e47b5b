"""What goes with weights so that they are served as they were trained: tokenizer, templates, stops.

`prepare` writes these files once, into the run's tokenizer folder; the merged model, whole models
and adapters get copies, and a GGUF file is written from the same. `generation_config.json` has what
`generate` of transformers needs: the tokens that end a response, those that training ended with
first, the padding token and the preset's sampling settings. A base model's own would not do: it
knows nothing of the token that a chat template ends a turn with.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.core.files import read_json_object
from workbench.preset.schema import Generate
from workbench.tokenization.named_templates import DEFAULT_FILE, FOLDER

GENERATION = "generation_config.json"
NAMES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    DEFAULT_FILE,
    GENERATION,
)
PATTERNS = (*NAMES, f"{FOLDER}/*.jinja")


def generation_values(
    generate: Generate, stop_ids: Sequence[int], *, pad_id: int | None, bos_id: int | None = None
) -> dict[str, Any]:
    """The values of generation_config.json, under the names of transformers.

    `generate.stop` is not among them: transformers takes stop strings only together with a
    tokenizer, as arguments of `generate`.
    """
    values: dict[str, Any] = {
        "eos_token_id": list(stop_ids),
        "pad_token_id": stop_ids[0] if pad_id is None and stop_ids else pad_id,
        "bos_token_id": bos_id,
        "max_new_tokens": generate.max_tokens,
        "repetition_penalty": generate.repeat_penalty,
        "do_sample": generate.temperature > 0,
    }
    if generate.temperature > 0:
        names = ("temperature", "top_k", "top_p", "min_p")
        values |= {name: getattr(generate, name) for name in names}
    return {name: value for name, value in values.items() if value is not None and value != []}


def read_generation(folder: Path) -> Mapping[str, Any]:
    """The values in the folder's generation_config.json; none where there is no such file."""
    return read_json_object(folder / GENERATION)


def ids_in(value: Any) -> list[int]:
    """The ids of an entry that is one id, a list of them, or nothing."""
    found = value if isinstance(value, list) else [value]
    return [one for one in found if isinstance(one, int)]


def stop_ids(folder: Path, special: Mapping[str, int], rows: int) -> list[int]:
    """The ids below `rows` that end a response, the trained end first.

    By the folder's generation settings, then by the `special` tokens of its vocabulary.
    """
    named = ids_in(read_generation(folder).get("eos_token_id"))
    found = [*named, *(special[name] for name in ("eot", "eos") if name in special)]
    return [token for token in dict.fromkeys(found) if token < rows]


def copy_serving_files(source: Path, target: Path) -> None:
    """Copy the files that are there from one folder into another."""
    for path in (path for pattern in PATTERNS for path in source.glob(pattern)):
        to = target / path.relative_to(source)
        to.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, to)


def with_stops(config: Mapping[str, Any], generation: Mapping[str, Any]) -> dict[str, Any]:
    """`config`, the values of config.json, with the special tokens of `generation`.

    Programs other than transformers look for them there. A config of one id keeps one id.
    """
    values = dict(config)
    stops = ids_in(generation.get("eos_token_id"))
    if stops:
        values["eos_token_id"] = stops if len(stops) > 1 else stops[0]
    if "pad_token_id" in generation:
        values["pad_token_id"] = generation["pad_token_id"]
    if isinstance(values.get("text_config"), Mapping):
        values["text_config"] = with_stops(values["text_config"], generation)
    return values
