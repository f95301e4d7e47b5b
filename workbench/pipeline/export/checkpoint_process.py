"""Child process: saved weights of a run made ready to be talked to, also while it still trains.

`python -m workbench.pipeline.export.checkpoint_process RUN STAGE NAME TYPE`, NAME such as best or
step-000040. What the stage began with becomes a GGUF of TYPE, once; the checkpoint's adapter
another beside it, in milliseconds. Weights that no adapter file can hold (all were trained, DoRA)
are merged into a GGUF of their own. Both lie in the cache, under a name that their content gives.

    {"doing": "write the base as q8_0", "done": 3, "total": 38}
    {"problem": "", "base": "...gguf", "sha256": "...", "adapter": "...gguf" or null}
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.core import files
from workbench.core.errors import UserError, WorkbenchError
from workbench.core.subprocesses import exit_with_parent, send_message
from workbench.pipeline.artifacts import base_info, chat_template, input_weights
from workbench.pipeline.context import Context
from workbench.pipeline.export.adapter_gguf import NeedsMerge, write_adapter
from workbench.pipeline.export.gguf_cache import (
    content_of,
    key_of,
    locked,
    models_folder,
    prune,
    use,
)
from workbench.pipeline.export.peft_adapter import PeftAdapter, read_adapter
from workbench.pipeline.export.plan import plan_export
from workbench.pipeline.export.streaming import TensorDone, run_export
from workbench.pipeline.models.weights import Weights, weights_after
from workbench.preset.loader import load
from workbench.preset.schema import TrainStage
from workbench.run.folder import RunFolder
from workbench.tokenization.named_templates import FOLDER

FORMAT = 1  # of the cached files: another one makes all anew
CONTENT = ("*.safetensors", "config.json")
TRIES, PAUSE_S = 40, 0.05  # while training puts a newer save in the place of an older one
Tell = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class CheckpointModel:
    """What to open. `adapter` is None where the base holds everything."""

    base: Path
    sha256: str
    adapter: Path | None


def main(arguments: list[str]) -> None:
    exit_with_parent("pipe")
    run, stage, name, kind = arguments
    folder = RunFolder(Path(run).resolve())
    try:
        made = make_ready(folder, stage, name, kind, lambda fields: send_message(**fields))
    except (WorkbenchError, OSError) as error:
        send_message(problem=str(error))
        return
    adapter = None if made.adapter is None else str(made.adapter)
    send_message(problem="", base=str(made.base), sha256=made.sha256, adapter=adapter)


def make_ready(run: RunFolder, stage: str, name: str, kind: str, tell: Tell) -> CheckpointModel:
    """The files to open for the checkpoint `name` of the training stage `stage`.

    Raises UserError for a checkpoint that is gone or an architecture that is not supported.
    """
    preset = load(str(run.preset_file)).preset
    context = Context(run, preset, lambda event: None, lambda: False, lambda: False)
    number = next(i for i, one in enumerate(preset.train) if one.name == stage)
    desk = _CheckpointExporter(
        context, preset.train[number], input_weights(context, number), kind, tell
    )
    with locked(models_folder()):
        return retry_while_replaced(desk.folder(name), lambda folder: desk.ready(folder))


def retry_while_replaced(folder: Path, make: Callable[[Path], CheckpointModel]) -> CheckpointModel:
    """`make(folder)`, done again when another save took the folder's place meanwhile."""
    for left in reversed(range(TRIES)):
        before = _seal(folder)
        try:
            made = make(folder) if before else None
        except (OSError, UserError):
            if left == 0 or _seal(folder) == before:
                raise
            made = None
        if made and _seal(folder) == before:
            return made
        time.sleep(PAUSE_S)
    raise UserError("these weights no longer exist", path=folder)


def _seal(folder: Path) -> bytes:
    try:
        return (folder / "manifest.json").read_bytes()
    except OSError:
        return b""


class _CheckpointExporter:
    """One training stage, what it began with, and the type that bases are written in."""

    def __init__(
        self, context: Context, stage: TrainStage, before: Weights, kind: str, tell: Tell
    ) -> None:
        self.context, self.stage, self.before = context, stage, before
        self.kind, self.tell = kind, tell
        self.cache = models_folder()
        self.full = stage.adapter.kind == "full"

    def folder(self, name: str) -> Path:
        training = self.context.run.training(self.stage.name)
        return training / name if name.startswith("step-") else training / "adapters" / name

    def ready(self, folder: Path) -> CheckpointModel:
        if self.full:
            return self._base(Weights(self._whole(folder)))
        adapter = read_adapter(folder, config_folder=self._config_folder(folder))
        start = weights_after(self.stage, self.before, folder)
        try:
            path = self._adapter_file(adapter)
        except NeedsMerge:
            merged = (*start.adapters[:-1], self._as_saved(folder))
            return self._base(Weights(start.base, merged))
        base = self._base(Weights(start.base, start.adapters[:-1]))
        return CheckpointModel(base.base, base.sha256, path)

    def _config_folder(self, folder: Path) -> Path | None:
        """For a checkpoint, a folder of the same stage with the adapter's configuration."""
        if not folder.name.startswith("step-"):
            return None
        found = (folder.parent / "adapters").glob("[!t]*/adapter_config.json")
        return next((path.parent for path in found), folder)

    def _adapter_file(self, adapter: PeftAdapter) -> Path:
        content = content_of(adapter.folder, ["[!o]*.safetensors"], self._memory)  # no optimizer
        base = content_of(self.before.base, ["config.json"], self._memory)
        path = self.cache / f"adapter-{key_of([FORMAT, content, base, adapter.config])}.gguf"
        if not use(path):
            write_adapter(self.before.base, adapter, path, self.stage.name)
        return path

    def _base(self, weights: Weights) -> CheckpointModel:
        key = key_of([FORMAT, self.kind, self._content(weights)])
        path = self.cache / f"base-{key}-{self.kind}.gguf"
        note = path.with_suffix(".json")
        if not (use(path) and note.is_file()):
            self._write_base(weights, path)
        return CheckpointModel(path, str(json.loads(note.read_bytes())["sha256"]), None)

    def _write_base(self, weights: Weights, path: Path) -> None:
        from workbench.inference.gguf_open_process import try_load

        doing = f"writing the base model as {self.kind}"

        def progress(at: TensorDone) -> None:
            self.tell({"doing": doing, "done": at.done, "total": at.total})

        plan = plan_export(
            weights,
            [self.kind],
            self.context.run.tokenizer,
            chat_template=chat_template(self.context),
            end_of_turn=base_info(self.context)["end_of_turn"],
            name=self.context.run.name,
        )
        (made,) = run_export(plan, {self.kind: path}, progress=progress)
        if problem := try_load(path):
            path.unlink()
            raise UserError(problem, path=path)
        files.write_json(path.with_suffix(".json"), {"sha256": made.sha256})
        prune(self.cache, keep=path)

    def _content(self, weights: Weights) -> list[Any]:
        """All that the base's file depends on."""
        run = self.context.run
        found = [content_of(weights.base, CONTENT, self._memory)]
        for adapter in weights.adapters:
            names = ("*.safetensors", "adapter_config.json")
            found.append(content_of(adapter, names, self._memory))
        found.append(
            content_of(run.tokenizer, ["*.json", "*.jinja", f"{FOLDER}/*.jinja"], self._memory)
        )
        return [*found, base_info(self.context)["end_of_turn"]]

    def _whole(self, folder: Path) -> Path:
        """A folder in Hugging Face layout with all the weights that a checkpoint holds."""
        if not folder.name.startswith("step-"):
            return folder
        if self.stage.adapter.last_layers:
            hint = "use best or final"
            raise UserError("contains only the last layers", path=folder, hint=hint)
        linked = self._linked(folder, "model.safetensors")
        _link(self.before.base / "config.json", linked / "config.json")
        return linked

    def _as_saved(self, folder: Path) -> Path:
        """The checkpoint as a PEFT folder."""
        config = self._config_folder(folder)
        if config is None:
            return folder
        linked = self._linked(folder, "adapter_model.safetensors")
        _link(config / "adapter_config.json", linked / "adapter_config.json")
        return linked

    def _linked(self, folder: Path, name: str) -> Path:
        """A folder that `files.sweep` takes away, with the checkpoint's tensors under that name."""
        linked = self.cache / f"tmp-{folder.name}"
        linked.mkdir(exist_ok=True)
        _link(folder / "trainable.safetensors", linked / name)
        return linked

    @property
    def _memory(self) -> Path:
        return self.cache / "digests.json"


def _link(target: Path, link: Path) -> None:
    link.unlink(missing_ok=True)
    os.symlink(target, link)


if __name__ == "__main__":
    main(sys.argv[1:])
