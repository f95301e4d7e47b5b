"""Runs to look at, and a screen to look at them with."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from textual.pilot import Pilot

from tests.run.helpers import make_run, step, validated
from workbench.run import events
from workbench.run.folder import RunFolder, runs_root
from workbench.run.log import EventLog
from workbench.tui.app import WorkbenchApp

STAGE = "train:sft"
Story = Callable[[Pilot[None], WorkbenchApp], Awaitable[None]]
HOSTILE = "\x1b]0;owned\x07[bold red]x[/] \u202e"


def plan(steps: int) -> events.TrainingPlanned:
    return events.TrainingPlanned(
        steps=steps,
        from_step=0,
        epochs=3.0,
        tokens_per_epoch=4000,
        trained_tokens_per_epoch=2400,
        trainable_parameters=10,
        total_parameters=100,
        device="cpu",
        dtype="float32",
    )


def begin(log: EventLog, steps: int = 100) -> None:
    """The log up to the first step."""
    stages = ["prepare", STAGE, "export"]
    log.append(events.RunStarted(pid=os.getpid(), host="h", version="0", stages=stages))
    log.append(events.StageStarted(title="Prepare the data"), "prepare")
    ready = {"rows": 320, "train_rows": 288, "validation_rows": 32}
    log.append(events.DataReady(**ready, duplicates=2, leaks=0, faults=0), "prepare")
    log.append(events.Note(message=f"a duplicate {HOSTILE}", level="warning"), "prepare")
    log.append(events.StageDone(elapsed_s=1.0, inputs="x"), "prepare")
    log.append(events.StageStarted(title="Train: sft"), STAGE)
    log.append(plan(steps), STAGE)


def loss_at(number: int, steps: int = 100) -> float:
    """A falling curve with a regular ripple: the same in every run of a test."""
    return 0.3 + 2.7 * math.exp(-4 * number / steps) + 0.1 * math.sin(number * 1.7)


def train(log: EventLog, first: int, last: int, steps: int = 100) -> None:
    """Steps `first` to `last`, with a validation and an answer at every tenth of the stage."""
    for number in range(first, last + 1):
        loss = loss_at(number, steps)
        log.append(step(number, steps, loss=loss, learning_rate=1e-3 * (1 - number / steps)), STAGE)
        if number % (steps // 10) == 0:
            log.append(validated(number, loss + 0.2), STAGE)
            answer = f"answer at {number} {HOSTILE}\n  second line"
            sample = {"prompt": "What is Blop?", "answer": answer}
            log.append(events.Sampled(step=number, **sample, stopped=True), STAGE)


def finished_run(name: str = "finished", steps: int = 100) -> RunFolder:
    run = make_run(runs_root(), name)
    log = EventLog(run.events_file)
    begin(log, steps)
    train(log, 1, steps, steps)
    log.append(events.StageDone(elapsed_s=58.0, inputs="x"), STAGE)
    log.append(events.RunDone(elapsed_s=60.0))
    log.close()
    _worker_log(run, 40)
    return run


def failed_run(name: str = "failed") -> RunFolder:
    """One with NaN in its losses."""
    run = make_run(runs_root(), name)
    log = EventLog(run.events_file)
    begin(log)
    train(log, 1, 60)
    log.append(step(61, 100, loss=math.nan), STAGE)
    log.append(events.RunFailed(error=f"loss is not a number {HOSTILE}", status=1))
    log.close()
    return run


def stopped_run(name: str = "stopped", at: int = 50) -> RunFolder:
    run = make_run(runs_root(), name)
    log = EventLog(run.events_file)
    begin(log)
    train(log, 1, at)
    log.append(events.RunStopped(reason="asked"))
    log.close()
    return run


def three_runs() -> list[RunFolder]:
    """A finished, a failed and a stopped one; the times of their presets give their order."""
    runs = [finished_run(), failed_run(), stopped_run()]
    for age, run in enumerate(runs):
        os.utime(run.preset_file, (1_700_000_000 + age, 1_700_000_000 + age))
    return runs


def on_screen(story: Story, size: tuple[int, int] = (80, 24)) -> WorkbenchApp:
    """Open the screen, live the story, leave; no fault of our own may have happened."""

    async def live() -> WorkbenchApp:
        app = WorkbenchApp()
        async with app.run_test(size=size) as pilot:
            _make_patient(pilot, app)
            await until(pilot, lambda: not app.watching.behind)
            await pilot.pause()
            await story(pilot, app)
        return app

    app = asyncio.run(live())
    assert app.faults == []
    return app


def _make_patient(pilot: Pilot[None], app: WorkbenchApp) -> None:
    """Textual's pilot takes a busy machine's silence for the end of the work: wait for it."""
    pressed, paused = pilot.press, pilot.pause

    async def pause(delay: float | None = None) -> None:
        await paused(delay)
        await _drained(app)

    async def press(*keys: str) -> None:
        wanted = app.keys_done + len(keys)
        await pressed(*keys)
        while app.keys_done < wanted and app.is_running and not app._exit:
            await asyncio.sleep(0.001)
        await pause()

    pilot.press, pilot.pause = press, pause  # type: ignore[method-assign]


async def _drained(app: WorkbenchApp) -> None:
    """Every message that was there is done with, and what the first ones brought about."""
    for _ in range(3):
        for pump in (app, app.screen, app.focused or app.screen):
            done = asyncio.Event()
            if app._exit or not pump.call_later(done.set):
                return
            await done.wait()


def text_of(app: WorkbenchApp) -> str:
    """The screen as lines of text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips)


async def until(pilot: Pilot[None], condition: Callable[[], bool], limit_s: float = 30.0) -> None:
    """Wait for something that a thread or a child process brings about."""
    for _ in range(round(limit_s / 0.05)):
        if condition():
            return
        await pilot.pause(0.05)
    raise AssertionError("it did not come about")


def _worker_log(run: RunFolder, lines: int) -> None:
    text = "".join(f"line {number} of the log {HOSTILE}\n" for number in range(lines))
    Path(run.log_file).write_text(text)
