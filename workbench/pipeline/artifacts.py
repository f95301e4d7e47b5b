"""What earlier stages of a run noted, for the wiring of later ones. Imports nothing heavy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from workbench.bases.architecture import not_exported, read_config
from workbench.pipeline.context import Context
from workbench.pipeline.models.serving_files import ids_in, read_generation
from workbench.pipeline.models.weights import Weights
from workbench.run.folder import RunFolder
from workbench.tokenization.chat_template import ChatTemplate
from workbench.tokenization.named_templates import DEFAULT, read_templates


def base_folder(context: Context) -> Path:
    """The base as `prepare` fetched it."""
    return Path(base_info(context)["path"])


def base_info(context: Context) -> dict[str, str]:
    """What `prepare` noted of the base: its name, its folder, the token that ends an answer."""
    facts: dict[str, str] = json.loads((context.run.path / "base.json").read_bytes())
    return facts


def converter_of(context: Context) -> Path | None:
    """llama.cpp's converter where it writes the run's GGUF files, None where workbench does."""
    named = context.preset.export.converter
    return Path(named) if named and not is_exported(context) else None


def is_exported(context: Context) -> bool:
    """Whether workbench writes the base's architecture itself."""
    base = base_folder(context)
    return not_exported(read_config(base), base / "config.json") is None


def input_weights(context: Context, number: int) -> Weights:
    """What training stage `number` starts from: the base, or what the stage before came to."""
    from workbench.pipeline.models.weights import load

    if number == 0:
        return Weights(base_folder(context))
    before = context.preset.train[number - 1].name
    return load(context.run.training(before)).take(context.preset.train[number].start_from)


def trained_weights(context: Context) -> Weights:
    """What the last training stage came to."""
    from workbench.pipeline.models.weights import load

    return load(context.run.training(context.preset.train[-1].name)).weights


def exported(run: RunFolder, format: str) -> Path:
    """The run's GGUF file of that type."""
    return run.export / f"{run.name}-{format}.gguf"


def served_gguf_path(context: Context) -> Path:
    """The file that the Modelfile serves and chat opens: the last of the preset's formats."""
    return exported(context.run, context.preset.export.formats[-1])


def chat_template(context: Context) -> str:
    """The Jinja source of the template that training used."""
    return (context.run.tokenizer / "chat_template.jinja").read_text(encoding="utf-8")


def stop_ids(context: Context) -> list[int]:
    """The ids that end an answer, as `prepare` found them; none of a run of an older version."""
    return ids_in(read_generation(context.run.tokenizer).get("eos_token_id"))


def run_template(context: Context) -> ChatTemplate:
    """The chat templates with the special tokens of the run's tokenizer."""
    folder = context.run.tokenizer
    config = json.loads((folder / "tokenizer_config.json").read_bytes())
    bos, eos = (_text(config.get(f"{name}_token")) for name in ("bos", "eos"))
    others = [(name, one) for name, one in read_templates(folder).items() if name != DEFAULT]
    return ChatTemplate(chat_template(context), bos, eos, others=tuple(others))


def _text(token: Any) -> str:
    """A special token's text; the file has it as text, as an object, or not at all."""
    return str(token["content"]) if isinstance(token, dict) else str(token or "")
