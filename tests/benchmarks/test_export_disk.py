"""What counts as temporary on the disk: all but results and what becomes one."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.export_disk import watched


def test_only_what_is_no_result_counts_and_the_most_of_it(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    with watched([tmp_path, tmp_path / "absent"], ["a.gguf"]) as seen:
        (tmp_path / "a.gguf").write_bytes(bytes(1000))
        (tmp_path / ".a.gguf.part").write_bytes(bytes(1000))
        (inner / "left").write_bytes(bytes(30))
        _until(lambda: seen.peak_bytes >= 30)
        (inner / "left").unlink()
        (tmp_path / "small").write_bytes(bytes(7))
        time.sleep(0.2)
    assert seen.peak_bytes == 30


def _until(true: object) -> None:
    assert callable(true)
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
