"""The same terminal for every test, and what the screen remembers in a folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def quiet_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours as in most terminals; no multiplexer; the clock of ages stands still."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    gone = ("NO_COLOR", "TMUX", "STY", "SSH_CONNECTION", "DISPLAY", "WAYLAND_DISPLAY")
    for name in (*gone, "TEXTUAL_DRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(
        "workbench.tui.panes.runs.run_table.ago", lambda then: "5 min" if then else ""
    )
    monkeypatch.setattr(
        "workbench.tui.panes.train.training_text.ago", lambda then: "5 min" if then else ""
    )
