"""Figures for trackers: TensorBoard's files hold them; a tracker that fails costs nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from accelerate.tracking import WandBTracker

from tests.run.helpers import step, validated
from workbench.core.errors import UserError
from workbench.pipeline.training.trackers import TensorBoard, figures, with_trackers
from workbench.run import events


def test_tensorboard_files_hold_the_figures(tmp_path: Path) -> None:
    told: list[events.Event] = []
    with with_trackers(told.append, ["tensorboard"], "sft", tmp_path) as emit:
        emit(step(1))
        emit(validated(1, 0.5))
        emit(events.GeneralMeasured(step=1, loss=3.0, tokens=9, elapsed_s=0.1))
    assert len(told) == 3
    raw = b"".join(path.read_bytes() for path in (tmp_path / "sft").rglob("events.out*"))
    for name in (b"train/loss", b"train/learning_rate", b"validation/loss", b"general/loss"):
        assert name in raw


def test_every_stage_of_a_run_has_its_files(tmp_path: Path) -> None:
    for stage in ("pretrain", "sft", "more"):
        with with_trackers(lambda event: None, ["tensorboard"], stage, tmp_path) as emit:
            emit(step(1))
        assert list((tmp_path / stage).rglob("events.out*"))


def test_a_tracker_that_fails_is_left_out_and_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(TensorBoard, "log", broken)
    told: list[events.Event] = []
    with with_trackers(told.append, ["tensorboard"], "sft", tmp_path) as emit:
        emit(step(1))
        emit(step(2))
    notes = [event.message for event in told if isinstance(event, events.Note)]
    assert len(told) == 3 and len(notes) == 1
    assert notes[0].startswith("watch.trackers: tensorboard is disabled from here on: Connection")


def test_a_tracker_that_is_not_installed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: object) -> None:
        raise ImportError("No module named 'x'")

    monkeypatch.setattr(WandBTracker, "start", absent)
    with (
        pytest.raises(UserError, match="watch.trackers: wandb is not installed"),
        with_trackers(lambda event: None, ["wandb"], "sft", tmp_path),
    ):
        pass


def test_events_without_figures_are_not_tracked() -> None:
    assert figures(events.Note(message="x")) is None
