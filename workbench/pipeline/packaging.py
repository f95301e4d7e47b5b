"""The Modelfile for Ollama, and the model in a running Ollama where the preset asks for it.

What is served is what was trained: the template, the stops and the sampling are the run's own.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from workbench.dataset.template import ChatTemplate
from workbench.errors import RunFailed
from workbench.files import write_atomic
from workbench.pipeline.export.go_template import renderer
from workbench.pipeline.export.modelfile import Parameters, modelfile
from workbench.preset.schema import Preset
from workbench.run.folder import RunFolder

CREATE_LIMIT_S = 3600


def write_modelfile(
    preset: Preset, run: RunFolder, gguf: Path, template: ChatTemplate
) -> tuple[Path, Sequence[str]]:
    """Write `Modelfile` beside the file it serves; returns it with warnings for the person."""
    generate = preset.generate
    made = modelfile(
        gguf.name,
        renderer(template),
        parameters=Parameters(
            temperature=generate.temperature,
            top_k=generate.top_k,
            top_p=generate.top_p,
            min_p=generate.min_p,
            repeat_penalty=generate.repeat_penalty,
            num_ctx=generate.context,
            num_predict=generate.max_tokens,
            seed=generate.seed,
        ),
        stops=generate.stop,
        system=preset.ollama.system or preset.data.system,
        comment=f"made by workbench, run {run.name}",
    )
    path = run.export / "Modelfile"
    write_atomic(path, made.text)
    return path, made.warnings


def create_in_ollama(preset: Preset, run: RunFolder, path: Path) -> str:
    """The command that makes the model in Ollama; run here if `ollama.create` says so.

    Raises RunFailed with Ollama's own words when it refuses or is not installed.
    """
    name = preset.ollama.name or run.name
    command = ["ollama", "create", name, "-f", str(path)]
    if preset.ollama.create:
        _run(command)
    return " ".join(command)


def _run(command: Sequence[str]) -> None:
    if shutil.which(command[0]) is None:
        raise RunFailed(
            "ollama is not installed here (see https://ollama.com, or set ollama.create = false)"
        )
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=CREATE_LIMIT_S, check=False
    )
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise RunFailed(f"ollama create failed: {words[-1] if words else done.returncode}")
