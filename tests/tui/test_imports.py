"""The screen's process stays light: asked of a fresh one."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "torch",
    "transformers",
    "peft",
    "datasets",
    "numpy",
    "llama_cpp",
    "gguf",
    "pydantic",
    "tomlkit",
    "watchdog",
)
CODE = f"""
import sys
import workbench.tui.app
from workbench.tui.keymap import all_actions
all_actions()  # imports every pane
heavy = [name for name in {HEAVY!r} if name in sys.modules]
ours = [name for name in sys.modules if name.startswith("workbench.pipeline")]
print(heavy + ours)
"""


def test_nothing_heavy_and_nothing_of_the_pipeline() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
