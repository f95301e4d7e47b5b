"""A run that has trained and exported f16, made once; every test gets a copy of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from workbench.run.folder import RunFolder


@pytest.fixture(scope="session")
def trained_run_once(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    from tests import tiny
    from tests.pipeline.test_worker import PRESET, pairs, state_of, work
    from workbench.preset.loader import load
    from workbench.run import folder
    from workbench.runner.frozen_preset import freeze

    home = tmp_path_factory.mktemp("home")
    (home / "pairs.txt").write_text(pairs(20))
    (home / "raw").mkdir()
    for n in range(5):
        (home / "raw" / f"{n}.txt").write_text(f"document {n} " * 20)
    base = tiny.save_base(home / "base", "qwen2")
    text = PRESET.replace("{base}", str(base)).replace("{pairs}", str(home / "pairs.txt"))
    text = text.replace('["f16", "q8_0"]', '["f16"]').replace("{raw}", str(home / "raw"))
    (home / "tiny.toml").write_text(text)
    made = folder.create(home / "runs", "tiny")
    freeze(load(str(home / "tiny.toml")), made)
    assert work(made, "prepare", "train", "export") == 0, state_of(made).error
    return made


@pytest.fixture
def trained_run(trained_run_once: RunFolder, tmp_path: Path) -> RunFolder:
    shutil.copytree(trained_run_once.path, tmp_path / "runs" / trained_run_once.name)
    return RunFolder(tmp_path / "runs" / trained_run_once.name)
