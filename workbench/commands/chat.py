"""Chat with a run's tuned model, with any weights the run has saved, or with any GGUF file.

The run's own settings apply: its system prompt and the preset's [generate] section. --set changes
one of them for this session, such as --set temperature=0.8. RUN@best (or last, final, step-000040,
STAGE/best) selects weights saved during training, even while the run is still training. --follow
switches to the newest weights between responses and says so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from workbench.console.chat import chat, chat_once
from workbench.console.progress import ProgressLine
from workbench.core.errors import EXIT_DONE, UserError
from workbench.core.paths import state_folder
from workbench.core.sampling import SamplingParams
from workbench.core.text import did_you_mean
from workbench.inference.chat_model import GgufSource, ModelSource
from workbench.inference.conversation import ChatSettings, generation_settings
from workbench.inference.quantization import kind_named
from workbench.preset.loader import load
from workbench.run import checkpoints, folder
from workbench.run.checkpoints import Checkpoint
from workbench.run.folder import RunFolder
from workbench.run.model_files import base_gguf, digests, exported_gguf, served_gguf
from workbench.runner.checkpoint_model import (
    DEFAULT_TYPE,
    CheckpointModel,
    LatestCheckpoint,
    export_checkpoint,
)

BASE = "base"
GGUF, OLLAMA = ".gguf", "ollama:"
KEYS = (*(field.name for field in fields(SamplingParams)), "context")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    models = "RUN|RUN@CHECKPOINT|FILE.gguf|ollama:NAME"
    add("model", metavar=models, help="a run (name or folder), a GGUF file, or an Ollama model")
    add(
        "--compare",
        metavar=f"base|{models}",
        default="",
        help="send every prompt to a second model as well",
    )
    add(
        "--checkpoint",
        metavar="C",
        default="",
        help="use RUN's saved weights: best, last, final, step-000040",
    )
    add("--follow", action="store_true", help="always use the newest weights that RUN has saved")
    add(
        "--type",
        metavar="T",
        default="",
        help="GGUF type of RUN's file, or of a checkpoint's base",
    )
    add("--prompt", metavar="TEXT|FILE:PATH", default=None, help="print one response and exit")
    add("--system", metavar="TEXT", default=None, help="system prompt to use instead of the run's")
    add(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override a [generate] key; can be repeated",
    )


def run(args: argparse.Namespace) -> int:
    models, trusted = models_of(args)
    preset = None
    if not _alone(args.model):
        preset = load(str(_run(split(args.model)[0]).preset_file)).preset
    settings = apply_flags(generation_settings(preset), args.set)
    settings = replace(settings, trusted=trusted)
    if args.system is not None:
        settings = replace(settings, system=args.system)
    if args.prompt is not None:
        chat_once(models, args.prompt, settings)
    else:
        history = state_folder() / "chat-history" if sys.stdin.isatty() else None
        chat(models, settings, history=history)
    return EXIT_DONE


def models_of(args: argparse.Namespace) -> tuple[dict[str, ModelSource], list[str]]:
    """Name and source of every model that answers, and the SHA-256 digests that runs vouch for."""
    model, checkpoint = split(args.model)
    if args.checkpoint and checkpoint:
        raise UserError("two checkpoints are given", hint="use either RUN@C or --checkpoint C")
    checkpoint = args.checkpoint or checkpoint
    if _alone(model) and (args.checkpoint or args.follow or args.type):
        raise UserError("--checkpoint, --follow and --type only apply to a run")
    if args.follow and checkpoint:
        raise UserError(
            "--follow cannot be combined with a checkpoint; it always uses the newest weights"
        )
    first, trusted = resolve(model, checkpoint, args.type, args.follow)
    name = _name(model)
    models = {f"{name}@{checkpoint}" if checkpoint else name: first}
    if args.compare == BASE:
        if _alone(model):
            raise UserError(
                "--compare base needs a run", hint="give the base model's .gguf file instead"
            )
        models[BASE] = GgufSource(base_gguf(_run(model)))
    elif args.compare:
        other, checkpoint = split(args.compare)
        second, more = resolve(other, checkpoint, "", False)
        models[args.compare] = second
        trusted += more
    return models, trusted


def apply_flags(settings: ChatSettings, flags: Sequence[str]) -> ChatSettings:
    """`KEY=VALUE` over the settings. Raises UserError for what is no key of [generate]."""
    for flag in flags:
        key, equals, value = flag.partition("=")
        key = key.strip().removeprefix("generate.")
        if not equals:
            raise UserError(f"--set {flag}: '=' is missing", hint="use KEY=VALUE")
        if key not in KEYS:
            raise UserError(f"--set {key}: unknown key", hint=did_you_mean(key, KEYS))
        if key == "context":
            settings = replace(settings, context=_positive(value))
        else:
            settings = replace(settings, sampling=settings.sampling.with_text(key, value))
    return settings


def _positive(text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise UserError(
            f"--set context: '{text}' is not a valid number of tokens", hint="such as 4096"
        )
    return int(text)


def resolve(model: str, checkpoint: str, kind: str, follow: bool) -> tuple[ModelSource, list[str]]:
    """Where the model comes from, and the digests of files that its run vouches for."""
    if model.startswith(OLLAMA):
        from workbench.serving.ollama_chat import OllamaSource

        return OllamaSource(model.removeprefix(OLLAMA)), []
    if model.endswith(GGUF):
        if not Path(model).is_file():
            raise UserError(
                f"file not found: '{model}'", hint="run `workbench runs` to list the runs"
            )
        return GgufSource(Path(model)), []
    found = _run(model)
    if follow:
        latest = checkpoints.newest(found) or checkpoints.find(found, "best")
        ready = _ready(found, latest, kind)
        return _following(LatestCheckpoint(found, kind or DEFAULT_TYPE, ready), ready), []
    chosen = checkpoints.find(found, checkpoint) if checkpoint else _in_place_of_export(found)
    if chosen:
        return _source(_ready(found, chosen, kind)), []
    return GgufSource(exported_gguf(found, kind) if kind else served_gguf(found)), digests(found)


def _in_place_of_export(run: RunFolder) -> Checkpoint | None:
    """The newest weights of a run that has exported nothing yet; None for one that has."""
    try:
        served_gguf(run)
    except UserError:
        latest = checkpoints.newest(run)
        if latest:
            print(f"nothing exported yet; using {latest.label}", file=sys.stderr)
        return latest
    return None


def _ready(run: RunFolder, checkpoint: Checkpoint, kind: str) -> CheckpointModel:
    """The checkpoint made ready, with a line that tells how far that is."""
    view = ProgressLine(sys.stderr)
    wanted = kind_named(kind).name if kind else DEFAULT_TYPE
    try:
        return export_checkpoint(run, checkpoint, wanted, doing=view.show)
    finally:
        view.end()


def _source(ready: CheckpointModel) -> GgufSource:
    return GgufSource(ready.base, ready.adapter, ready.checkpoint.label, ready.sha256)


def _following(following: LatestCheckpoint, ready: CheckpointModel) -> GgufSource:
    """The source with its way to the next one."""

    def newer() -> GgufSource | None:
        found = following.newer()
        return _following(following, found) if found else None

    return replace(_source(ready), newer=newer)


def split(model: str) -> tuple[str, str]:
    """`RUN@CHECKPOINT` taken apart; a file or a run with an @ in its name is left whole."""
    name, at, checkpoint = model.rpartition("@")
    if not at or not name or _alone(model) or Path(model).exists():
        return model, ""
    return name, checkpoint


def _alone(model: str) -> bool:
    """Whether it is no run's: a file, or a model that a server holds."""
    return model.endswith(GGUF) or model.startswith(OLLAMA)


def _name(model: str) -> str:
    if model.startswith(OLLAMA):
        return model
    return Path(model).stem if model.endswith(GGUF) else _run(model).name


def _run(name: str) -> RunFolder:
    return folder.find(folder.runs_root(), name)
