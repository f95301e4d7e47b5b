"""The models that are asked the same questions, from the words that name them in a preset."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from workbench.core.errors import UserError
from workbench.pipeline.evaluation.http_endpoint import ollama_answerer, openai_answerer
from workbench.pipeline.evaluation.gguf_answerer import GgufAnswerer
from workbench.pipeline.evaluation.questions import Answerer, Asking

OLLAMA, OPENAI = "ollama:", "openai:"


def is_endpoint(spec: str) -> bool:
    """Whether `spec` names a server (`ollama:NAME`, `openai:URL#MODEL`) rather than a file."""
    return spec.startswith((OLLAMA, OPENAI))


def open_answerer(
    spec: Path | str,
    asking: Asking,
    *,
    environment: Mapping[str, str],
    threads: int | None = None,
    log_file: Path | None = None,
) -> Answerer:
    """The model that `spec` names: a GGUF's path, `ollama:NAME` or `openai:URL#MODEL`.

    A path that comes as a text is a file that no run of ours vouches for: a child opens it first.
    Nothing is loaded or connected yet. Raises UserError for a missing file or a wrong URL.
    """
    word = str(spec)
    if word.startswith(OLLAMA):
        return ollama_answerer(word.removeprefix(OLLAMA), asking, environment)
    if word.startswith(OPENAI):
        url, _, model = word.removeprefix(OPENAI).partition("#")
        if not model:
            raise UserError(
                f"'{word}' does not name a model", hint="use openai:https://HOST/v1#MODEL"
            )
        return openai_answerer(url, model, asking, environment)
    stranger = isinstance(spec, str)
    return GgufAnswerer(Path(spec), asking, threads=threads, log_file=log_file, stranger=stranger)
