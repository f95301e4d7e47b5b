"""The wiring of the stages: from a run's folder and preset to plain values, and back to events.

The stages know nothing of runs; this module knows nothing of how they work.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.dataset.template import ChatTemplate
from workbench.pipeline.context import Context, Outcome
from workbench.pipeline.prepare import prepare as prepare_stage
from workbench.pipeline.training.weights import Weights
from workbench.run.folder import RunFolder


def prepare(context: Context) -> Outcome:
    """Data, tokenizer and base."""
    return Outcome(prepare_stage(context.preset, context.run, context.emit))


def training(number: int) -> Callable[[Context], Outcome]:
    """The job of the preset's training stage `number`."""

    def job(context: Context) -> Outcome:
        from workbench.pipeline.base import load_tokenizer
        from workbench.pipeline.training.stage import train_stage
        from workbench.pipeline.watched import watched

        stage, folder = context.preset.train[number], context.run.dataset
        tokenizer = load_tokenizer(context.run.tokenizer)
        result = train_stage(
            stage,
            context.preset.model,
            weights_before(context, number),
            train=folder / f"{stage.name}.train.safetensors",
            validation=folder / f"{stage.name}.validation.safetensors",
            tokenizer=tokenizer,
            folder=context.run.training(stage.name),
            emit=context.emit,
            stopping=context.stopping,
            checkpoint_now=context.checkpoint_now,
            watched=watched(context, stage, tokenizer),
        )
        saved = [p for w in (result.weights, result.last) for p in _files_of(context, w)]
        summary = {"steps": result.steps, "best_loss": result.best_loss}
        done = context.run.training(stage.name) / "result.json"
        return Outcome([done, *dict.fromkeys(saved)], summary)

    return job


def base_folder(context: Context) -> Path:
    """The base as `prepare` fetched it."""
    return Path(base_facts(context)["path"])


def base_facts(context: Context) -> dict[str, str]:
    """What `prepare` noted of the base: its name, its folder, the token that ends an answer."""
    facts: dict[str, str] = json.loads((context.run.path / "base.json").read_bytes())
    return facts


def weights_before(context: Context, number: int) -> Weights:
    """What training stage `number` starts from: the base, or what the stage before came to."""
    from workbench.pipeline.training.result import load

    if number == 0:
        return Weights(base_folder(context))
    before = context.preset.train[number - 1].name
    return load(context.run.training(before)).take(context.preset.train[number].start_from)


def trained_weights(context: Context) -> Weights:
    """What the last training stage came to."""
    from workbench.pipeline.training.result import load

    return load(context.run.training(context.preset.train[-1].name)).weights


def exported(run: RunFolder, format: str) -> Path:
    """The run's GGUF file of that type."""
    return run.export / f"{run.name}-{format}.gguf"


def served(context: Context) -> Path:
    """The file that the Modelfile serves and chat opens: the last of the preset's formats."""
    return exported(context.run, context.preset.export.formats[-1])


def chat_template(context: Context) -> str:
    """The Jinja source of the template that training used."""
    return (context.run.tokenizer / "chat_template.jinja").read_text(encoding="utf-8")


def _files_of(context: Context, weights: Weights) -> list[Path]:
    """The files inside the run that hold these weights."""
    folders = [path for path in (weights.base, *weights.adapters) if _inside(context, path)]
    return [path for folder in folders for path in sorted(folder.glob("*.safetensors"))]


def _inside(context: Context, path: Path) -> bool:
    return path.is_relative_to(context.run.path)


def run_template(context: Context) -> ChatTemplate:
    """The chat template with the special tokens of the run's tokenizer."""
    config = json.loads((context.run.tokenizer / "tokenizer_config.json").read_bytes())
    return ChatTemplate(
        chat_template(context), _text(config.get("bos_token")), _text(config.get("eos_token"))
    )


def _text(token: Any) -> str:
    """A special token's text; the file has it as text, as an object, or not at all."""
    return str(token["content"]) if isinstance(token, dict) else str(token or "")
