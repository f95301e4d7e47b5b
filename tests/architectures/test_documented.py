"""docs/export-formats.md names all that can be exported and all that is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.architectures import supported
from workbench.pipeline.export.peft_adapter import REFUSED
from workbench.pipeline.export.tensor_types import TYPES
from workbench.tokenization.pretokenizers import PRETOKENIZERS

PAGE = (Path(__file__).parents[2] / "docs" / "export-formats.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*supported(), *TYPES, *PRETOKENIZERS, *REFUSED])
def test_it_is_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE
