"""Runs to measure the screen with: one that is being written, and a very long one."""

from __future__ import annotations

import csv
import math
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from workbench.run import control, events
from workbench.run.event_lines import Record, to_line, utc_now
from workbench.run.folder import RunFolder, create
from workbench.run.lock import Lock
from workbench.run.log import EventLog

STAGE = "train:sft"
BEST = 0.0625
PLANNED = 100_000


def step(number: int, steps: int) -> events.Step:
    """A plausible step with a falling, rippled loss."""
    loss = 0.3 + 2.7 * math.exp(-4 * number / steps) + 0.1 * math.sin(number * 1.7)
    fields: dict[str, Any] = {"learning_rate": 1e-4, "gradient_norm": 0.5 + loss / 7}
    fields |= {"tokens": 2048, "trained_tokens": 900, "tokens_per_second": 4200.5}
    fields |= {"padding_share": 0.0, "elapsed_s": 0.48, "memory_bytes": 1 << 30}
    return events.Step(step=number, steps=steps, epoch=number / steps, loss=loss, **fields)


def begin(steps: int) -> list[events.Event]:
    """The events before the first step, all of the stage."""
    started = events.RunStarted(pid=1, host="h", version="0", stages=[STAGE])
    return [started, events.StageStarted(title=f"{steps:,} steps")]


def make(root: Path, name: str) -> RunFolder:
    run = create(root, "benchmark", name)
    run.preset_file.write_text("description = 'benchmark'\n")
    return run


def loss_at(number: int, steps: int) -> float:
    """The loss of a step of the long run."""
    return 0.3 + 2.7 * math.exp(-4 * number / steps) + 0.1 * math.sin(number * 1.7)


def big_run(root: Path, n_events: int) -> tuple[Path, bytes]:
    """A finished run of so many events, and the words in which the screen tells its best loss."""
    run = make(root, "long")
    steps = n_events - 4
    lowest = steps * 7 // 9
    with open(run.events_file, "wb") as file:
        numbered = 0
        for event in begin(steps):
            numbered += 1
            file.write(to_line(Record(numbered, utc_now(), STAGE, event)))
        template = to_line(Record(0, utc_now(), STAGE, step(1, steps))).decode()
        for number in range(1, steps + 1):
            numbered += 1
            line = template.replace('"seq":0,', f'"seq":{numbered},')
            line = line.replace('"step":1,', f'"step":{number},')
            before, _, rest = line.partition('"loss":')
            loss = repr(loss_at(number, steps))
            file.write((before + f'"loss":{loss},' + rest.partition(",")[2]).encode())
            if number == lowest:
                numbered += 1
                best = events.Validated(
                    step=number, loss=BEST, trained_tokens=9, best=True, elapsed_s=1.0
                )
                file.write(to_line(Record(numbered, utc_now(), STAGE, best)))
        file.write(to_line(Record(numbered + 1, utc_now(), "", events.RunDone(elapsed_s=1.0))))
    return run.path, f"best {BEST} @".encode()


def wrong_points(saved: Path, n_events: int) -> int:
    """How many steps of the long run are missing, too many or wrong in the saved table."""
    steps, right = n_events - 4, 0
    with open(saved) as file:
        rows = csv.DictReader(file)
        for number, row in enumerate(rows, start=1):
            same = int(row["step"]) == number and float(row["loss"]) == loss_at(number, steps)
            right += same if number <= steps else -1
    return steps - right


def many_runs(root: Path, count: int) -> None:
    """So many finished runs of a thousand events."""
    for number in range(count):
        run = make(root, f"run-{number}")
        log = [*begin(1000), *(step(n, 1000) for n in range(1, 998)), events.RunDone(elapsed_s=1.0)]
        records = [Record(at, utc_now(), STAGE, event) for at, event in enumerate(log, start=1)]
        run.events_file.write_bytes(b"".join(map(to_line, records)))


class Feeder:
    """Another process that holds the run and writes `rate` steps a second until `stop`."""

    def __init__(self, root: Path, rate: int) -> None:
        self.run = make(root, "flood").path
        arguments = [str(self.run), str(rate)]
        self._process = subprocess.Popen([sys.executable, "-m", __spec__.name, *arguments])

    def stop(self) -> int:
        """Have it end; the number of steps that it wrote."""
        assert self._process.poll() is None, "the flood has ended by itself"
        control.send_request(RunFolder(self.run).control, "stop")
        self._process.wait()
        return sum(b'"kind":"step"' in line for line in open(self.run / "events.jsonl", "rb"))

    def __enter__(self) -> Feeder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()


def feed(run: RunFolder, rate: int) -> None:
    """Write the run until asked to stop, on time: a late step is made up for."""
    lock = Lock(run.lock_file)
    log = EventLog(run.events_file)
    for event in begin(PLANNED):
        log.append(event, STAGE)
    began, number = time.monotonic(), 0
    while not control.is_requested(run.control, "stop"):
        number += 1
        log.append(step(number, PLANNED), STAGE)
        ahead = began + number / rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
    log.append(events.RunDone(elapsed_s=time.monotonic() - began))
    lock.release()


if __name__ == "__main__":
    feed(RunFolder(Path(sys.argv[1])), int(sys.argv[2]))
