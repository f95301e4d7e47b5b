"""How a run stands: the lock decides whether somebody works on it, the log how it ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.run.helpers import make_run, step, validated
from tests.run.test_lock import hold, said
from workbench.reports.run_overview import overview
from workbench.run import events
from workbench.run.log import EventLog

STARTED = events.RunStarted(pid=1, host="h", version="0", stages=["train:sft"])
ENDINGS = [
    (None, "died"),
    (events.RunDone(elapsed_s=1.0), "done"),
    (events.RunStopped(reason=""), "stopped"),
    (events.RunFailed(error="no luck", status=1), "failed"),
]


@pytest.mark.parametrize(("ending", "standing"), ENDINGS)
def test_standing(tmp_path: Path, ending: events.Event | None, standing: str) -> None:
    run = make_run(tmp_path)
    assert overview(run).standing == "new" and overview(run).age_s is None
    log = EventLog(run.events_file)
    for event in (STARTED, step(1), step(2), validated(1, 0.5), validated(2, 0.7)):
        log.append(event, "" if event is STARTED else "train:sft")
    if ending:
        log.append(ending)
    log.close()
    view = overview(run)
    assert (view.standing, view.step, view.steps, view.best_loss) == (standing, 2, 10, 0.5)
    assert view.error == ("no luck" if standing == "failed" else "")
    assert view.age_s is not None and 0 <= view.age_s < 60
    worker = hold(run.lock_file)
    assert said(worker) == "held"
    assert (overview(run).standing, overview(run).pid) == ("running", worker.pid)
    worker.communicate()
