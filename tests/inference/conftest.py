"""One tiny GGUF for the whole room: writing it costs more than loading it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.inference.helpers import Tiny, write_tiny
from workbench.inference.llama_model import LlamaModel


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="session")
def tiny_model(tiny_gguf: Path) -> Iterator[LlamaModel]:
    model = LlamaModel(tiny_gguf)
    yield model
    model.close()


@pytest.fixture
def load_tiny(tmp_path: Path) -> Iterator[Callable[[Tiny], LlamaModel]]:
    """Load a tiny model of another make; closed when the test ends."""
    models: list[LlamaModel] = []

    def load(tiny: Tiny) -> LlamaModel:
        path = write_tiny(tmp_path / f"tiny-{len(models)}.gguf", tiny)
        models.append(LlamaModel(path))
        return models[-1]

    yield load
    for model in models:
        model.close()
