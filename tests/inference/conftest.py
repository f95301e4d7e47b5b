"""One tiny GGUF for the whole room: writing it costs more than loading it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.inference.helpers import Tiny, write_tiny
from workbench.inference.llama_model import NativeModel


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="session")
def tiny_model(tiny_gguf: Path) -> Iterator[NativeModel]:
    model = NativeModel(tiny_gguf)
    yield model
    model.close()


@pytest.fixture
def load_tiny(tmp_path: Path) -> Iterator[Callable[[Tiny], NativeModel]]:
    """Load a tiny model of another make; closed when the test ends."""
    models: list[NativeModel] = []

    def load(tiny: Tiny) -> NativeModel:
        path = write_tiny(tmp_path / f"tiny-{len(models)}.gguf", tiny)
        models.append(NativeModel(path))
        return models[-1]

    yield load
    for model in models:
        model.close()
