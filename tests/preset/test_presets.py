"""Every preset that ships loads, and says what it is."""

from pathlib import Path

import pytest

from workbench.preset.loader import load
from workbench.preset.lookup import list_presets, shipped_root
from workbench.preset.rules import sources_of

FILES = sorted((shipped_root() / "presets").glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_preset_loads(path: Path) -> None:
    preset = load(str(path)).preset
    assert preset.description
    assert all(sources_of(preset, stage) for stage in preset.train)


def test_they_are_listed() -> None:
    assert {"quickstart", "blop-gemma-2b"} <= {name for name, description in list_presets()}


def test_the_quickstart_needs_no_download() -> None:
    preset = load("quickstart").preset
    assert preset.model.base == "embedded:tiny"
    assert [stage.objective for stage in preset.train] == ["pretrain", "sft"]
