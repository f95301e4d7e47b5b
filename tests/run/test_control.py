"""Requests: asked, seen, taken away."""

from __future__ import annotations

from pathlib import Path

from workbench.run import control


def test_a_request_is_seen_until_it_is_taken_away(tmp_path: Path) -> None:
    folder = tmp_path / "control"
    assert not control.is_requested(folder, "stop")
    control.send_request(folder, "stop")
    control.send_request(folder, "stop")  # impatience is no fault
    assert control.is_requested(folder, "stop") and not control.is_requested(folder, "checkpoint")
    control.clear(folder, "stop")
    control.clear(folder, "stop")
    assert not control.is_requested(folder, "stop")
    assert list(folder.iterdir()) == []
