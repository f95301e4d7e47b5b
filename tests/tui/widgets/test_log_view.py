"""A log of any size, read by its lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.tui.widgets import log_view
from workbench.tui.widgets.log_view import LogFile


def read(log: LogFile) -> list[str]:
    return [log.line(number) for number in range(len(log))]


def test_lines_as_they_come(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = LogFile(path)
    assert not log.poll() and len(log) == 0
    path.write_text("one\ntwo\nthr")
    assert log.poll()
    assert read(log) == ["one", "two", "thr"]
    with open(path, "a") as file:
        file.write("ee\nfour\n")
    assert log.poll() and not log.poll()
    assert read(log) == ["one", "two", "three", "four"]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=9)))
def test_slices_of_any_size_give_the_same_lines(tmp_path_factory, lines: list[str]) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes("".join(line + "\n" for line in lines).encode())
    log = LogFile(path)
    old, log_view.SCAN_BYTES = log_view.SCAN_BYTES, 5
    try:
        while log.poll():
            pass
    finally:
        log_view.SCAN_BYTES = old
    assert read(log) == lines


def test_a_log_cut_short_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old\n" * 100)
    log = LogFile(path)
    log.poll()
    path.write_text("new\n")
    log.poll()
    assert read(log) == ["new"]


def test_a_progress_bar_shows_its_last_state(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("10%\r50%\r100%\n")
    log = LogFile(path)
    log.poll()
    assert read(log) == ["100%"]


def test_a_very_long_line_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_view, "MAX_LINE_BYTES", 10)
    path = tmp_path / "log"
    path.write_text("x" * 100 + "\nend\n")
    log = LogFile(path)
    log.poll()
    assert read(log) == ["x" * 10, "end"]


def test_find_goes_round(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("Error one\nfine\nerror two\n")
    log = LogFile(path)
    log.poll()
    assert log.find("ERROR", 0, 1) == 2
    assert log.find("ERROR", 2, 1) == 0
    assert log.find("ERROR", 0, -1) == 2
    assert log.find("nowhere", 0, 1) is None
