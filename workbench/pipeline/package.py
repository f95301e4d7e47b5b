"""The Modelfile for Ollama, and the command that takes it there.

What is served is what was trained: the template, the stops and the sampling are the run's own. What
llama.cpp puts before a text by itself is not written a second time.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from workbench.core.errors import UserError
from workbench.core.files import write_atomic
from workbench.pipeline.export.gguf_vocabulary import tokenizer_vocabulary
from workbench.preset.schema import Preset
from workbench.run.folder import RunFolder
from workbench.serving.go_template import renderer
from workbench.serving.modelfile import Modelfile, ModelfileParameters, modelfile
from workbench.tokenization.chat_template import ChatTemplate


def write_modelfile(
    preset: Preset, run: RunFolder, gguf: Path, template: ChatTemplate, end_of_turn: str = ""
) -> tuple[Path, Sequence[str]]:
    """Write `Modelfile` beside the file it serves; returns it with warnings for the person.

    `end_of_turn`: text of the token that ends an answer, when it is not EOS.
    """
    comment = f"created by workbench from run {run.name}"
    made = modelfile_of(preset, run.tokenizer, gguf.name, template, end_of_turn, comment)
    path = run.export / "Modelfile"
    write_atomic(path, made.text)
    return path, made.warnings


def modelfile_of(
    preset: Preset,
    tokenizer: Path,
    gguf_name: str,
    template: ChatTemplate,
    end_of_turn: str = "",
    comment: str = "",
) -> Modelfile:
    """The Modelfile for the file `gguf_name`, in memory; `tokenizer`: the folder of training's."""
    generate = preset.generate
    special_tokens, added_bos = _special_tokens(tokenizer, end_of_turn)
    return modelfile(
        gguf_name,
        renderer(template),
        parameters=ModelfileParameters(
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
        special_tokens=special_tokens,
        added_bos=added_bos,
        comment=comment,
    )


def _special_tokens(tokenizer: Path, end_of_turn: str) -> tuple[list[str], str]:
    """(texts of the special tokens, BOS where llama.cpp puts it before each text).

    A tokenizer that only llama.cpp's converter can express is taken at its own word.
    """
    try:
        vocabulary = tokenizer_vocabulary(tokenizer, end_of_turn)
    except UserError:
        added = json.loads((tokenizer / "tokenizer.json").read_bytes()).get("added_tokens", [])
        return [str(token["content"]) for token in added if token.get("special")], ""
    return vocabulary.control_tokens, vocabulary.bos_token if vocabulary.add_bos else ""


def command_for_ollama(preset: Preset, run: RunFolder, path: Path) -> str:
    """The command that makes the model in Ollama."""
    return shlex.join(["ollama", "create", preset.ollama.name or run.name, "-f", str(path)])
