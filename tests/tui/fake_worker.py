"""Stands in for the worker: takes the run's lock and lives until it is asked to stop."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tests.tui.helpers import STAGE, begin, train
from workbench.run import control, events
from workbench.run.folder import RunFolder
from workbench.run.lock import Lock
from workbench.run.log import EventLog

run = RunFolder(Path(sys.argv[1]))
lock = Lock(run.lock_file)
log = EventLog(run.events_file)
begin(log)
train(log, 1, 20)
if os.environ.get("STORY") == "fails":
    print("OSError: the disk is full")
    sys.exit(3)
until = time.monotonic() + 30
while not control.asked(run.control, "stop") and time.monotonic() < until:
    if control.asked(run.control, "checkpoint"):
        control.clear(run.control, "checkpoint")
        log.append(events.CheckpointSaved(step=20, path="step-20", elapsed_s=0.1), STAGE)
    time.sleep(0.02)
control.clear(run.control, "stop")
log.append(events.RunStopped(reason="asked"))
