"""The front starts fast and stays light: what its imports may not bring along."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import pytest

import workbench
import workbench.architectures
import workbench.bases
import workbench.checkers
import workbench.core
import workbench.dataset
import workbench.estimate
import workbench.objectives
import workbench.preset
import workbench.reports
import workbench.run
import workbench.runner
import workbench.tokenization

HEAVY = (
    *("accelerate", "datasets", "gguf", "llama_cpp", "numpy", "pandas", "peft", "pyarrow"),
    *("torch", "transformers"),
)
FRONT = ("pydantic", "rich", "jinja2", *HEAVY)
LIGHT_ROOMS = (
    workbench.core,
    workbench.bases,
    workbench.checkers,
    workbench.architectures,
    workbench.tokenization,
    workbench.run,
    workbench.preset,
    workbench.objectives,
    workbench.dataset,
    workbench.estimate,
    workbench.reports,
    workbench.runner,
)
# Imported by the first search for near duplicates, not before.
LATE = {"workbench.dataset.ngram_index"}


def modules_after(imports: str) -> set[str]:
    """The modules that a fresh process has after running `imports`."""
    code = f"{imports}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def loaded_after(imports: str) -> set[str]:
    """The top-level ones of them."""
    return {name.partition(".")[0] for name in modules_after(imports)}


@pytest.mark.parametrize("room", LIGHT_ROOMS, ids=lambda room: room.__name__)
def test_light_rooms_bring_nothing_heavy(room: object) -> None:
    names = [
        module.name
        for module in pkgutil.walk_packages(room.__path__, room.__name__ + ".")  # type: ignore[attr-defined]
    ]
    assert names
    early = [name for name in names if name not in LATE]
    loaded = loaded_after("\n".join(f"import {name}" for name in early))
    assert loaded.isdisjoint(HEAVY), loaded & set(HEAVY)


def test_every_command_can_be_imported_without_anything_heavy() -> None:
    loaded = loaded_after(
        "import importlib, pkgutil, workbench.commands\n"
        "for module in pkgutil.iter_modules(workbench.commands.__path__):\n"
        "    importlib.import_module('workbench.commands.' + module.name)"
    )
    assert loaded.isdisjoint(HEAVY), loaded & set(HEAVY)


def test_reading_a_preset_loads_objectives_and_no_tokenizing() -> None:
    loaded = modules_after("import workbench.preset.loader")
    assert "workbench.objectives.sft" in loaded
    rooms = {".".join(name.split(".")[:2]) for name in loaded if name.startswith("workbench.")}
    assert rooms.isdisjoint({"workbench.tokenization", "workbench.dataset"})
    tokenizing = "from workbench.objectives import OBJECTIVES; OBJECTIVES['sft'].encoding()"
    assert "workbench.tokenization.conversations" in modules_after(tokenizing), "the control"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["runs"], ["frobnicate"]])
def test_the_quick_commands_need_nothing_but_python(arguments: list[str]) -> None:
    loaded = loaded_after(f"from workbench.cli import main; main({arguments!r})")
    assert loaded.isdisjoint(FRONT), loaded & set(FRONT)


def test_the_screen_comes_without_anything_heavy() -> None:
    loaded = loaded_after("import workbench.tui.app")
    assert "textual" in loaded and loaded.isdisjoint(HEAVY), loaded & set(HEAVY)


def test_the_worker_is_what_the_light_rooms_are_spared() -> None:
    """The negative control: this check can see a heavy module."""
    assert "numpy" in loaded_after("import numpy")
