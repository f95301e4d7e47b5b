from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.export.golden import FOLDER, dump
from tests.pipeline.export.helpers import SHAPES


@pytest.mark.parametrize("shape", SHAPES)
def test_the_file_holds_what_it_held(shape: str, tmp_path: Path) -> None:
    """After a change that is meant: python -m tests.pipeline.export.golden, and read the diff."""
    assert dump(shape, tmp_path) == (FOLDER / f"{shape}.txt").read_text(encoding="utf-8")


def test_no_page_is_left_over() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(SHAPES)
