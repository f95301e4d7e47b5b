"""Talk to the tuned model of a run, or to any GGUF file; with --prompt get one answer.

A run's own settings apply: its system prompt and the preset's [generate]. --set changes one of
them for this talk: --set temperature=0.8.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from workbench.chat.from_preset import settings_of
from workbench.chat.sampling import Sampling
from workbench.chat.terminal import Settings, chat, chat_once
from workbench.errors import EXIT_DONE, UserError
from workbench.preset.load import load
from workbench.run import folder
from workbench.run.folder import RunFolder
from workbench.run.models import base_gguf, digests, served_gguf
from workbench.text import did_you_mean

BASE = "base"
GGUF = ".gguf"
KEYS = (*(field.name for field in fields(Sampling)), "context")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", metavar="RUN|FILE.gguf", help="a run, by name or folder, or a model file")
    add("--compare", metavar="base|RUN|FILE.gguf", default="", help="let a second model answer too")
    add("--prompt", metavar="TEXT|FILE:path", default=None, help="print one answer and leave")
    add("--system", metavar="TEXT", default=None, help="system prompt, in place of the run's")
    add("--set", metavar="KEY=VALUE", action="append", default=[], help="a key of [generate]")


def run(args: argparse.Namespace) -> int:
    models, trusted = models_of(args.model, args.compare)
    preset = None if args.model.endswith(GGUF) else load(str(_run(args.model).preset_file)).preset
    settings = apply_flags(settings_of(preset), args.set)
    settings = replace(settings, trusted=trusted)
    if args.system is not None:
        settings = replace(settings, system=args.system)
    if args.prompt is not None:
        chat_once(models, args.prompt, settings)
    else:
        chat(models, settings)
    return EXIT_DONE


def models_of(model: str, compare: str) -> tuple[dict[str, Path], list[str]]:
    """Name and file of every model that answers, and the SHA-256 digests that runs vouch for."""
    first, trusted = _resolve(model)
    models = {Path(model).stem if model.endswith(GGUF) else _run(model).name: first}
    if compare == BASE:
        if model.endswith(GGUF):
            raise UserError("--compare base needs a run", hint="name the base's .gguf file")
        models[BASE] = base_gguf(_run(model))
    elif compare:
        second, more = _resolve(compare)
        models[compare] = second
        trusted += more
    return models, trusted


def apply_flags(settings: Settings, flags: Sequence[str]) -> Settings:
    """`KEY=VALUE` over the settings. Raises UserError for what is no key of [generate]."""
    for flag in flags:
        key, equals, value = flag.partition("=")
        key = key.strip().removeprefix("generate.")
        if not equals:
            raise UserError(f"--set {flag}: no '='", hint="write KEY=VALUE")
        if key not in KEYS:
            raise UserError(f"--set {key}: no such key", hint=did_you_mean(key, KEYS))
        if key == "context":
            settings = replace(settings, context=_positive(value))
        else:
            settings = replace(settings, sampling=settings.sampling.with_text(key, value))
    return settings


def _positive(text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise UserError(f"--set context: '{text}' is no number of tokens", hint="such as 4096")
    return int(text)


def _resolve(model: str) -> tuple[Path, list[str]]:
    if not model.endswith(GGUF):
        run = _run(model)
        return served_gguf(run), digests(run)
    if not Path(model).is_file():
        raise UserError(f"'{model}' is no file", hint="workbench runs lists what there is")
    return Path(model), []


def _run(name: str) -> RunFolder:
    return folder.find(folder.runs_root(), name)
