"""The converter's child: what it writes, how it fails, stalls and is stopped."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.pipeline.export.conversions import HANGS, NOTHING, REFUSES, WRITES, program
from workbench.core.errors import Interrupted, RunFailed, UserError
from workbench.pipeline.export.converter import check_converter, convert


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".py")


def test_the_file_appears_under_its_name(tmp_path: Path) -> None:
    target = tmp_path / "x-f16.gguf"
    convert(program(tmp_path, WRITES), tmp_path / "model", target, "f16")
    assert target.read_text() == "model as f16" and left(tmp_path) == ["x-f16.gguf"]


def test_a_failure_has_the_last_words(tmp_path: Path) -> None:
    with pytest.raises(RunFailed) as told:
        convert(program(tmp_path, REFUSES), tmp_path, tmp_path / "x.gguf", "f16")
    line = str(told.value)
    assert line.startswith(
        "export.converter failed (exit status 1): NotImplementedError: Model X is"
    )
    assert "\n" not in line and left(tmp_path) == []


def test_no_file_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="wrote no file: done"):
        convert(program(tmp_path, NOTHING), tmp_path, tmp_path / "x.gguf", "f16")


def test_one_that_stalls_is_ended(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(RunFailed, match="wrote nothing for 1 s: loading"):
        convert(program(tmp_path, HANGS), tmp_path, tmp_path / "x.gguf", "f16", stalled_s=1.0)
    assert time.monotonic() - started < 10 and left(tmp_path) == []


def test_it_stops_when_it_is_asked_to(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        convert(
            program(tmp_path, HANGS), tmp_path, tmp_path / "x.gguf", "f16", should_stop=lambda: True
        )
    assert left(tmp_path) == []


def test_a_path_that_is_no_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a file"):
        check_converter(tmp_path / "absent.py")
    (tmp_path / "convert").touch()
    with pytest.raises(UserError, match="is not a Python program"):
        check_converter(tmp_path / "convert")
