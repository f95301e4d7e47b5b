"""Requests: asked, seen, taken away."""

from __future__ import annotations

from pathlib import Path

from workbench.run import control


def test_a_request_is_seen_until_it_is_taken_away(tmp_path: Path) -> None:
    folder = tmp_path / "control"
    assert not control.asked(folder, "stop")
    control.ask(folder, "stop")
    control.ask(folder, "stop")  # impatience is no fault
    assert control.asked(folder, "stop") and not control.asked(folder, "checkpoint")
    control.clear(folder, "stop")
    control.clear(folder, "stop")
    assert not control.asked(folder, "stop")
    assert list(folder.iterdir()) == []
