"""Files and folders are whole or absent, whatever operation fails and however."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.core import files
from workbench.core.errors import RunFailed

WRITE_FILE = """
import sys
from pathlib import Path
from workbench.core import files
files.write_atomic(Path(sys.argv[1]) / "f", b"new" * 1000)
"""
WRITE_FOLDER = """
import sys
from pathlib import Path
from workbench.core import files
with files.whole_folder(Path(sys.argv[1]) / "step") as tmp:
    (tmp / "a").write_bytes(b"new a")
    (tmp / "sub").mkdir()
    (tmp / "sub" / "b").write_bytes(b"new b")
"""


def in_child(code: str, folder: Path, fault: str) -> int:
    """Run `code` with a fault injected; the child's exit status."""
    return subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env={**os.environ, "WORKBENCH_FAULT": fault},
        stderr=subprocess.DEVNULL,
        check=False,
    ).returncode


def until_clean(code: str, folder: Path, what: str, check: object) -> int:
    """Fail operation 1, 2, 3 ... of `code` until none is left to fail; returns how many did."""
    assert callable(check)
    for at in range(1, 50):
        status = in_child(code, folder, f"any:{at}:{what}")
        check()
        if status == 0:
            return at - 1
    pytest.fail("it never came to an end")


@pytest.mark.parametrize("what", ["kill", "enospc", "eio"])
def test_a_file_is_the_old_one_or_the_new_one(tmp_path: Path, what: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def check() -> None:
        assert path.read_bytes() in (b"old", b"new" * 1000)
        left = {entry.name for entry in tmp_path.iterdir()} - {"f"}
        assert left <= ({".f.part"} if what == "kill" else set())

    assert until_clean(WRITE_FILE, tmp_path, what, check) >= 4
    assert path.read_bytes() == b"new" * 1000


@pytest.mark.parametrize("what", ["kill", "enospc", "eio"])
def test_a_folder_is_whole_or_absent(tmp_path: Path, what: str) -> None:
    step = tmp_path / "step"

    def check() -> None:
        assert not step.exists() or files.verify(step) == ""
        left = {entry.name for entry in tmp_path.iterdir()} - {"step"}
        assert left <= ({"tmp-step"} if what == "kill" else set())

    assert until_clean(WRITE_FOLDER, tmp_path, what, check) >= 8
    assert sorted(json.loads((step / "manifest.json").read_text())) == ["a", "sub/b"]


def test_replacing_a_folder_never_leaves_half_of_one(tmp_path: Path) -> None:
    """Between the old one's going and the new one's coming there may be none, never a wreck."""
    step = tmp_path / "step"
    with files.whole_folder(step) as tmp:
        (tmp / "a").write_bytes(b"old a")

    def check() -> None:
        assert not step.exists() or files.verify(step) == ""

    until_clean(WRITE_FOLDER, tmp_path, "kill", check)
    files.sweep(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["step"]
    assert (step / "a").read_bytes() == b"new a"


def test_bytes_go_to_their_place_in_any_order(tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096  # several calls
    fd = os.open(tmp_path / "f", os.O_WRONLY | os.O_CREAT)
    files.write_at(fd, data[700_000:], 700_000)
    files.write_at(fd, data[:700_000], 0)
    os.close(fd)
    assert (tmp_path / "f").read_bytes() == data


def test_a_disk_that_takes_nothing_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.os, "pwrite", lambda fd, data, offset: 0)
    with pytest.raises(OSError, match="No space left"):
        files.write_at(-1, b"some", 0)


@pytest.mark.parametrize("at", [0, 1, 2, 4, 5])
def test_a_damaged_folder_is_told_by_what_is_wrong(tmp_path: Path, at: int) -> None:
    step = tmp_path / "step"
    with files.whole_folder(step) as tmp:
        (tmp / "a").write_bytes(b"12345")
    damages = {
        0: (lambda: (step / "manifest.json").unlink(), "manifest.json is missing"),
        1: (lambda: (step / "manifest.json").write_text("{"), "manifest.json is damaged"),
        2: (lambda: (step / "manifest.json").write_text("[]"), "manifest.json is damaged"),
        4: (lambda: (step / "a").unlink(), "a is missing"),
        5: (lambda: (step / "a").write_bytes(b"12346"), "a is damaged"),
    }
    assert files.verify(step) == ""
    damage, told = damages[at]
    damage()  # type: ignore[no-untyped-call]
    assert files.verify(step) == told


@pytest.mark.parametrize(
    "manifest", ['{"a": 1}', '{"a": {}}', '{"a": {"bytes": "x", "sha256": 1}}', "\x00", "7", "null"]
)
def test_any_manifest_is_an_answer_and_no_traceback(tmp_path: Path, manifest: str) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "manifest.json").write_text(manifest)
    assert "damaged" in files.verify(tmp_path)


def test_a_body_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(KeyError), files.whole_folder(tmp_path / "step") as tmp:
        (tmp / "a").write_bytes(b"half")
        raise KeyError
    files.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_strict_json(tmp_path: Path) -> None:
    files.write_json(tmp_path / "j", {"ü": [1.5, None]})
    assert json.loads((tmp_path / "j").read_bytes()) == {"ü": [1.5, None]}
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "j", math.nan)
    assert json.loads((tmp_path / "j").read_bytes()) == {"ü": [1.5, None]}


def test_sha256_is_that_of_the_standard(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256(tmp_path / "f") == expected


def test_a_full_disk_is_said_before_it_is_met(tmp_path: Path) -> None:
    files.check_space(tmp_path, 1, "the run")
    with pytest.raises(RunFailed, match="disk full: the run needs 1099511627776 MiB, .* MiB free"):
        files.check_space(tmp_path, 1 << 60, "the run")


def test_removing_what_is_not_there_is_fine(tmp_path: Path) -> None:
    files.remove_folder(tmp_path / "absent")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "f").write_text("")
    files.remove_folder(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, b"", b"[1]", b"{", b"\xff", b'"text"'])
def test_what_is_not_a_json_object_reads_as_an_empty_one(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    assert files.read_json_object(path) == {}


def test_a_json_object_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b'{"a": [1]}')
    assert files.read_json_object(tmp_path / "x.json") == {"a": [1]}
