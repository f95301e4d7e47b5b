"""The poller: nothing lost, nothing told twice, long logs in slices, old logs not read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.run.helpers import make_run, step, validated
from tests.tui.helpers import STAGE, begin, failed_run, finished_run, plan, stopped_run, train
from workbench.run import events
from workbench.run.folder import RunFolder, runs_root
from workbench.run.lock import Lock
from workbench.run.log import EventLog
from workbench.tui.runs import watcher
from workbench.tui.runs.follower import RunFollower
from workbench.tui.runs.watcher import RunWatcher


def polled(root: Path) -> RunWatcher:
    found = RunWatcher(root)
    settle(found)
    return found


def settle(seen: RunWatcher) -> set[Path]:
    """Poll until all logs are read; what changed meanwhile."""
    changed = seen.poll()
    while seen.behind:
        changed |= seen.poll()
    return changed


def caught_up(followed: RunFollower) -> RunFollower:
    while followed.poll(until=0, now=lambda: 0.0, owner=None) or followed.behind:
        pass
    return followed


def test_glances_of_runs_that_nobody_opened() -> None:
    finished_run(), failed_run(), stopped_run(), make_run(runs_root(), "new")
    seen = polled(runs_root())
    standing = {run.name: seen.glance(run).standing for run in seen.runs}
    assert standing == {"finished": "done", "failed": "failed", "stopped": "stopped", "new": "new"}
    best = {run.name: seen.glance(run).best_loss for run in seen.runs}
    assert best["new"] is None and best["finished"] == pytest.approx(0.58, abs=0.05)


def test_a_second_poll_has_no_news() -> None:
    finished_run()
    seen = RunWatcher(runs_root())
    assert settle(seen)
    assert seen.poll() == set()


def test_a_log_that_has_not_changed_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    finished_run()
    seen = polled(runs_root())
    monkeypatch.setattr(watcher, "_Skim", lambda run: pytest.fail("read again"))
    seen.list_again()
    assert seen.poll() == set()


class Clock:
    """One that goes on by a second each time it is looked at: a slice is over at once."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        self.time += 1
        return self.time


def test_logs_that_are_long_do_not_hold_up_a_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one long log nor many: what is not read yet is "reading", and comes later."""
    monkeypatch.setattr(watcher, "SLICE_BYTES", 1000)
    monkeypatch.setattr(watcher, "SLICE_S", 3.0)
    finished_run("one"), finished_run("two")
    seen = RunWatcher(runs_root(), Clock())
    seen.poll()
    assert seen.behind and [seen.glance(run).standing for run in seen.runs] == ["reading"] * 2
    assert not seen.at_work(seen.runs[0])
    polls = 1
    while seen.behind:
        seen.poll()
        polls += 1
    assert polls > 20 and [seen.glance(run).standing for run in seen.runs] == ["done"] * 2


def test_a_log_half_read_is_not_taken_for_that_of_a_dead_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workbench.tui.runs.follower.SLICE_BYTES", 1000)
    run = finished_run()
    seen = RunWatcher(runs_root(), Clock())
    seen.want({run.path})
    seen.poll()
    assert seen.behind and seen.glance(run).standing == "reading"
    settle(seen)
    assert seen.glance(run).standing == "done"


def test_of_runs_looked_at_in_passing_only_the_last_stay_open() -> None:
    runs = [finished_run(f"run-{number}", steps=10) for number in range(8)]
    seen = polled(runs_root())
    for run in runs:
        seen.want({run.path})
        settle(seen)
    opened = [seen.followed(run.path) for run in runs[-3:]]
    seen.want(set())
    settle(seen)
    assert [seen.followed(run.path) for run in runs[-3:]] == opened
    assert seen.followed(runs[0].path).version == 0, "it was closed, and is opened anew"


def test_a_folder_that_goes_while_it_is_listed_is_no_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = finished_run()
    seen = polled(runs_root())

    def gone(root: Path) -> list[RunFolder]:
        raise FileNotFoundError(root)

    monkeypatch.setattr(watcher, "list_runs", gone)
    seen.list_again()
    settle(seen)
    assert [found.path for found in seen.runs] == [run.path]


def test_a_growing_log_is_told_of_and_followed_once_opened() -> None:
    run = stopped_run(at=20)
    seen = polled(runs_root())
    seen.want({run.path})
    seen.poll()
    log = EventLog(run.events_file)
    log.append(step(21, 100), STAGE)
    assert seen.poll() == {run.path}
    assert list(seen.followed(run.path).curves[STAGE].train.xs)[-1] == 21


def test_runs_that_come_and_go() -> None:
    run = finished_run()
    seen = polled(runs_root())
    other = failed_run()
    seen.list_again()
    assert settle(seen) == {other.path}
    run.path.rename(run.path.with_name("renamed"))
    seen.list_again()
    changed = settle(seen)
    assert {path.name for path in changed} == {"finished", "renamed"}
    assert {found.name for found in seen.runs} == {"renamed", "failed"}


def test_a_folder_of_runs_that_is_not_there_is_an_empty_one(tmp_path: Path) -> None:
    assert polled(tmp_path / "none").runs == []


def test_a_million_steps_are_kept_in_little() -> None:
    """The state holds a stage's first and last step only; the curves hold them all."""
    run = finished_run(steps=1000)
    followed = caught_up(RunFollower(run))
    assert len(followed.state.stages[STAGE].steps) == 2
    assert len(followed.curves[STAGE].train) == 1000
    assert followed.state.status == "done"


def test_a_long_log_is_read_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.tui.runs.follower.SLICE_BYTES", 1000)
    run = finished_run(steps=200)
    followed, polls = RunFollower(run), 0
    while followed.behind:
        followed.poll(until=0, now=lambda: 0.0, owner=None)
        polls += 1
    assert polls > 20
    assert list(followed.curves[STAGE].train.xs) == list(range(1, 201))
    assert len(followed.curves[STAGE].validation) == 10


def test_a_resumed_run_tells_its_steps_again() -> None:
    run = stopped_run(at=50)
    log = EventLog(run.events_file)
    log.append(events.RunStarted(pid=1, host="h", version="0", stages=["prepare", STAGE]))
    log.append(events.Resumed(from_step=40, path="step-40"), STAGE)
    log.append(step(41, 100, loss=9.0), STAGE)
    curves = caught_up(RunFollower(run)).curves[STAGE]
    assert list(curves.train.xs)[-2:] == [40, 41] and curves.train.ys[-1] == 9.0
    assert list(curves.validation.xs)[-1] == 40


def test_a_stage_begun_anew_forgets_its_old_curve() -> None:
    run = stopped_run(at=50)
    log = EventLog(run.events_file)
    log.append(plan(100), STAGE)
    log.append(step(1, 100), STAGE)
    assert list(caught_up(RunFollower(run)).curves[STAGE].train.xs) == [1]


def test_a_log_that_was_replaced_is_read_from_its_start() -> None:
    run = finished_run()
    followed = caught_up(RunFollower(run))
    run.events_file.unlink()
    log = EventLog(run.events_file)
    begin(log)
    train(log, 1, 5)
    followed = caught_up(followed)
    assert len(followed.curves[STAGE].train) == 5


def test_torn_and_foreign_lines_do_no_harm() -> None:
    run = stopped_run(at=30)
    with open(run.events_file, "ab") as file:
        file.write(b'not json\n{"seq":99999,"kind":"from the future"}\n{"seq":7,"kind":"st')
    followed = caught_up(RunFollower(run))
    assert len(followed.curves[STAGE].train) == 30


def test_a_run_at_work_is_followed_without_being_asked_for() -> None:
    """The lock is this process's own, so another one is asked whether it is held."""
    run = stopped_run(at=10)
    seen = polled(runs_root())
    owner = seen.glance(run)
    assert owner.standing == "stopped"
    lock = Lock(run.lock_file)
    try:
        assert not seen.at_work(run)  # never asked of the holder's own process
    finally:
        lock.release()


def test_the_training_stage_that_is_shown() -> None:
    run = make_run(runs_root(), "two")
    log = EventLog(run.events_file)
    for stage in ("train:cpt", "train:sft"):
        log.append(events.StageStarted(title=stage), stage)
        log.append(step(1, 10), stage)
        log.append(validated(1, 2.0), stage)
    followed = caught_up(RunFollower(run))
    assert followed.trained_stage == "train:sft"
    log.append(events.StageStarted(title="again"), "train:cpt")
    assert caught_up(followed).trained_stage == "train:cpt"
