"""Stands in for the worker: takes the lock and tells a story that the test chose by STORY."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.run.helpers import step, validated
from workbench.run import control, events
from workbench.run.folder import RunFolder
from workbench.run.lock import Lock
from workbench.run.log import EventLog

run = RunFolder(Path(sys.argv[1]))
STAGE = "train:sft"
PLAN = events.TrainingPlanned(
    steps=4,
    from_step=0,
    epochs=1.0,
    tokens_per_epoch=4000,
    trained_tokens_per_epoch=2400,
    trainable_parameters=10,
    total_parameters=100,
    device="cpu",
    dtype="float32",
)
TUNED = {"prompts": 9, "passed": 0.94, "passed_low": 0.9, "passed_high": 0.97, "stopped": 1.0}
SURPRISE = "\x1b]0;owned\x07[bold]\u202e"


def begin(log: EventLog) -> None:
    stages = ["prepare", STAGE]
    log.append(events.RunStarted(pid=os.getpid(), host="h", version="0", stages=stages))
    log.append(events.StageStarted(title="Prepare the data"), "prepare")
    ready = {"rows": 12, "train_rows": 9, "validation_rows": 1}
    log.append(events.DataReady(**ready, duplicates=2, leaks=0, faults=0), "prepare")
    for _ in range(2):
        log.append(events.Note(message=f"2 duplicates {SURPRISE}", level="warning"), "prepare")
    log.append(events.StageDone(elapsed_s=1.0, inputs="x"), "prepare")
    log.append(events.StageStarted(title="Train: sft"), STAGE)
    log.append(PLAN, STAGE)


def train(log: EventLog, steps: int = 4) -> None:
    for number in range(1, steps + 1):
        log.append(step(number, 4), STAGE)
    log.append(validated(steps, 0.5), STAGE)
    log.append(events.CheckpointSaved(step=2, path="p", elapsed_s=0.1), STAGE)


def done(log: EventLog) -> int:
    begin(log)
    train(log)
    log.append(events.StageDone(elapsed_s=58.0, inputs="x"), STAGE)
    log.append(events.Evaluated(model="base", figures={"prompts": 9, "passed": 0.0}), "evaluate")
    log.append(events.Evaluated(model="tuned", figures=TUNED), "evaluate")
    (run.export / "model-q8_0.gguf").write_bytes(b"x" * 2048)
    log.append(events.Packaged(path="export/Modelfile", command="ollama create x"), "package")
    log.append(events.RunDone(elapsed_s=60.0))
    return 0


def failed(log: EventLog) -> int:
    begin(log)
    log.append(events.RunFailed(error=f"disk full: no room {SURPRISE}", status=1))
    return 1


def refused(log: EventLog) -> int:
    log.append(events.RunFailed(error="data/x.txt:3: INPUT without OUTPUT", status=2))
    return 2


def killed(log: EventLog) -> int:
    begin(log)
    train(log)
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def silent(log: EventLog) -> int:
    print("ImportError: no such library")
    return 3


def patient(log: EventLog) -> int:
    """Works until it is asked to stop."""
    begin(log)
    until = time.monotonic() + 30
    while not control.is_requested(run.control, "stop") and time.monotonic() < until:
        time.sleep(0.02)
    control.clear(run.control, "stop")
    train(log, 2)
    log.append(events.RunStopped(reason="asked"))
    return 130


def deaf(log: EventLog) -> int:
    begin(log)
    until = time.monotonic() + 30
    while time.monotonic() < until:
        time.sleep(1)
    return 0


def busy(log: EventLog) -> int:
    """In a long step: the first SIGTERM is noted, the second ends it, as with the real one."""
    noted: list[int] = []

    def note(number: int, frame: object) -> None:
        if noted:
            os._exit(130)
        noted.append(number)

    signal.signal(signal.SIGTERM, note)
    return deaf(log)


def short(log: EventLog) -> int:
    """Works for a moment, then is done."""
    begin(log)
    time.sleep(0.7)
    return done(log)


STORIES: dict[str, Callable[[EventLog], int]] = {
    story.__name__: story
    for story in (done, failed, refused, killed, silent, patient, deaf, busy, short)
}

if __name__ == "__main__":
    lock = Lock(run.lock_file)
    sys.exit(STORIES[os.environ["STORY"]](EventLog(run.events_file)))
