"""Copy: each way in its surroundings, and words that promise no more than is known."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from textual.app import App

from workbench.tui import clipboard


class Seen:
    """Stands in for the driver."""

    is_web = False

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


class Place:
    """An app on a pretended terminal, a folder for the file, and programs that take text."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin = folder, folder / "bin"
        self.bin.mkdir()
        self.app: App[None] = App()
        self.seen = Seen()
        self.app._driver = self.seen  # type: ignore[assignment]

    def program(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def copy(self, text: str = "some text") -> str:
        return clipboard.copy(self.app, text, "the thing", self.folder)

    def osc52(self) -> str:
        found = re.fullmatch("\x1b]52;c;(.*)\a", self.seen.text)
        return base64.b64decode(found[1]).decode() if found else ""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    found = Place(tmp_path)
    monkeypatch.setenv("PATH", f"{found.bin}:/usr/bin:/bin")
    return found


def test_a_bare_terminal_is_sent_the_text(place: Place) -> None:
    line = place.copy()
    assert place.osc52() == "some text"
    assert line == (
        "the thing: sent to the terminal's clipboard (OSC 52); "
        f"also in {place.folder / 'clipboard.txt'}"
    )
    assert (place.folder / "clipboard.txt").read_text() == "some text"


def test_tmux_is_asked_to_pass_it_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX", "/tmp/x,1,0")
    place.program("tmux", f'[ "$*" = "load-buffer -w -" ] && cat > "{place.folder}/buffer"')
    assert "in tmux's buffer and sent on" in place.copy()
    assert (place.folder / "buffer").read_text() == "some text" and not place.seen.text


def test_an_old_tmux_has_it_in_its_buffer(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX", "/tmp/x,1,0")
    place.program("tmux", f'[ "$*" = "load-buffer -" ] && cat > "{place.folder}/buffer"')
    assert "its prefix and ] paste it" in place.copy()
    place.program("tmux", "exit 1")
    assert "tmux refused it; also in" in place.copy()


def test_screen_is_given_pieces_that_it_hands_on(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STY", "1.pts")
    text = "long " * 400
    assert "through screen" in place.copy(text)
    pieces = re.findall("\x1bP(.*?)\x1b\\\\", place.seen.text, re.DOTALL)
    assert len(pieces) > 4 and max(map(len, pieces)) < 768
    place.seen.text = "".join(pieces)
    assert place.osc52() == text


def test_the_desktop_tells_whether_it_took_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    place.program("wl-copy", f'cat > "{place.folder}/taken"')
    assert "copied to the clipboard (wl-copy)" in place.copy()
    assert (place.folder / "taken").read_text() == "some text" and not place.seen.text
    place.program("wl-copy", "exit 1")
    assert "OSC 52" in place.copy()


def test_over_ssh_the_other_machines_desktop_is_left_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("SSH_CONNECTION", "1 2 3 4")
    place.program("xclip", f'cat > "{place.folder}/taken"')
    assert "OSC 52" in place.copy() and not (place.folder / "taken").exists()


def test_in_a_browser_the_servers_tmux_is_left_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMUX", "/tmp/x,1,0")
    place.seen.is_web = True
    assert "browser" in place.copy() and place.osc52() == "some text"


def test_text_that_is_no_unicode_is_copied_as_far_as_it_goes(place: Place) -> None:
    place.copy("name \udcff")
    assert place.osc52() == "name ?"
    assert (place.folder / "clipboard.txt").read_text() == "name \\udcff"
