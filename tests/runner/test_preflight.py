"""Files that a preset names and that are not there are told at their keys."""

from pathlib import Path

import pytest

from tests.preset.helpers import MINIMAL
from workbench.core.errors import UserErrors
from workbench.preset.loader import load
from workbench.runner.preflight import require_files


def test_every_absent_file_is_told_at_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(MINIMAL)
    loaded = load(
        "mine.toml",
        [
            "model.base=./nowhere",
            "model.chat_template=FILE:no.jinja",
            "evaluate.prompts=no.jsonl",
            "evaluate.baselines=['no.gguf', 'base', 'ollama:no.gguf']",
        ],
    )
    with pytest.raises(UserErrors) as caught:
        require_files(loaded)
    starts = [str(error).split(" not found")[0] for error in caught.value.errors]
    assert starts == [
        "--set model.base: './nowhere' is not a folder (give a model folder)",
        "--set model.chat_template: 'no.jinja'",
        "mine.toml:2: data.source.0.path: 'a.txt'",
        "--set evaluate.prompts: 'no.jsonl'",
        "--set evaluate.baselines: 'no.gguf'",
    ]


def test_what_is_there_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(MINIMAL)
    Path("a.txt").touch()
    require_files(load("mine.toml", ["model.base=google/gemma-2b-it"]))


def test_a_folder_that_looks_like_a_hub_id_has_no_revisions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(MINIMAL)
    Path("a.txt").touch()
    loaded = load("mine.toml", ["model.base=owner/name", "model.revision=v2"])
    require_files(loaded)
    Path("owner/name").mkdir(parents=True)
    with pytest.raises(UserErrors, match="--set model.revision: 'owner/name' is a local folder"):
        require_files(loaded)


def test_an_unknown_embedded_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").touch()
    Path("mine.toml").write_text(f'model.base = "embedded:nano"\n{MINIMAL}')
    with pytest.raises(
        UserErrors, match=r"mine\.toml:1: model\.base: unknown embedded model 'nano'"
    ):
        require_files(load("mine.toml"))
