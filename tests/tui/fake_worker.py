"""Stands in for the worker: takes the run's lock and lives until it is asked to stop.

`STORY=fails` ends at once; `STORY=steady` writes step after step until then.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tests.run.helpers import step
from tests.tui.helpers import STAGE, begin, loss_at, train
from workbench.run import control, events
from workbench.run.folder import RunFolder
from workbench.run.lock import Lock
from workbench.run.log import EventLog

STEPS = 100_000  # planned
run = RunFolder(Path(sys.argv[1]))
story = os.environ.get("STORY", "")
lock = Lock(run.lock_file)
log = EventLog(run.events_file)
begin(log, STEPS if story == "steady" else 100)
if story != "steady":
    train(log, 1, 20)
if story == "fails":
    print("OSError: the disk is full")
    sys.exit(3)
until, number = time.monotonic() + 30, 0
while not control.is_requested(run.control, "stop") and time.monotonic() < until:
    if control.is_requested(run.control, "checkpoint"):
        control.clear(run.control, "checkpoint")
        log.append(events.CheckpointSaved(step=20, path="step-20", elapsed_s=0.1), STAGE)
    if story == "steady":
        number += 1
        log.append(step(number, STEPS, loss=loss_at(number, 1000)), STAGE)
    time.sleep(0.003 if story == "steady" else 0.02)
control.clear(run.control, "stop")
log.append(events.RunStopped(reason="asked"))
