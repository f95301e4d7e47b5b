"""The same quiet surroundings for every test: one thread, no network, runs in a temporary folder.

The variables are set before any test module is imported: thread pools read them only once.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

os.environ.update(
    OMP_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
    TOKENIZERS_PARALLELISM="false",
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
)
# What the workbench caches goes nowhere else, whatever a module's fixtures do before the tests'.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="workbench-cache-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
for name in [name for name in os.environ if name.startswith("WORKBENCH_")]:
    del os.environ[name]

# The same examples each time: what a run finds does not hang on luck. HYPOTHESIS_PROFILE=default
# draws new ones, and a find becomes a test. A busy machine is no fault.
settings.register_profile("same", derandomize=True, deadline=None, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs go to the test's own folder, child processes find the package, colours are off."""
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("HF_TOKEN", "FORCE_COLOR", "COLUMNS", "WORKBENCH_FAULT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def one_torch_thread() -> None:
    """Tiny models are several times slower on two threads than on one."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)
