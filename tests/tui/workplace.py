"""A furnished workplace: data, a preset, and runs in every state, made on the spot.

Everything that is shown is the same each time: the log's clock ticks by the event, the folder's
name has always the same length and is written as `PLACE` on the pages.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import string
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.inference.helpers import Tiny, write_tiny
from tests.run.helpers import step, validated
from tests.tui.evaluated import MODELS, answer, answered, asked, report
from workbench.inference.quantization import Fallback
from workbench.preset.loader import load
from workbench.reports.evaluation_report import read_report
from workbench.run import events
from workbench.run.folder import RunFolder, create
from workbench.run.lock import Owner
from workbench.run.log import EventLog
from workbench.runner.frozen_preset import freeze

PLACE = "/tmp/wbplace0000"
FREE = len("place0000")
STAGE = "train:sft"
STEPS = 240
COUNTED = {
    "rows": 33,
    "train_rows": 29,
    "validation_rows": 3,
    "prompts": 3,
    "device": {"name": "cpu", "total": 25_276_502_016, "free": 23_832_133_632},
    "stages": {
        "sft": {
            "memory": {
                "peak": 927_876_352,
                "parts": {
                    "weights": 12_590_080,
                    "adapter": 933_888,
                    "gradients": 933_888,
                    "optimizer": 1_867_776,
                    "activations": 228_394_240,
                    "logits": 28_581_888,
                    "allocator": 182_715_392,
                    "libraries": 471_859_200,
                },
            },
            "sequences": 29,
            "tokens": 2180,
            "steps": 6,
            "steps_per_epoch": 1,
            "validations": 6,
            "checkpoints": 4,
        }
    },
    "notes": ["1 duplicate row removed: examples.jsonl:33"],
}
COUNTS = f"import sys; sys.stdin.read(); print({json.dumps(json.dumps(COUNTED))})"
SHIPPED = (
    ("loans", "Teach the small base to write Blop components for loans"),
    ("blop-gemma-2b", "Teach Gemma 2B-IT the Blop language: two LoRA stages, one GPU of 12 GB"),
    ("quickstart", "Teach the bundled base model the Blop language: minutes on a CPU, no download"),
)
BUSY = Owner(pid=4242, start_ticks=1, boot_id="x")

PRESET = """\
# Loans in Blop: what the pages of the screen are drawn from.
description = "Teach the small base to write Blop components for loans"

[model]
base = "embedded:tiny"

[data]
validation = 0.1

[[data.source]]
name = "examples"
path = "examples.jsonl"            # pairs of request and answer

[[train]]
name = "sft"
epochs = 6.0
learning_rate = 2e-3               # found by trying

[train.adapter]
kind = "lora"
rank = 16

[export]
formats = ["f16", "q4_k_m"]

[generate]
temperature = 0.2
max_tokens = 200

[evaluate]
apart = ["invented"]
baselines = ["base"]
"""


@dataclass(frozen=True)
class Workplace:
    """The folder, its runs folder, and what must be replaced to make the pages stand still."""

    path: Path

    @property
    def runs(self) -> Path:
        return self.path / "runs"

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Be there: the current folder, the runs, the one at work, the version."""
        monkeypatch.chdir(self.path)
        monkeypatch.setenv("WORKBENCH_RUNS", str(self.runs))
        busy = self.runs / "loans-5" / "lock"
        monkeypatch.setattr("workbench.run.lock.owner", lambda path: BUSY if path == busy else None)
        monkeypatch.setattr("workbench.tui.app.__version__", "1.2.3")
        monkeypatch.setattr("workbench.runner.dry_run.ESTIMATE", (sys.executable, "-c", COUNTS))
        monkeypatch.setattr("workbench.preset.lookup.list_presets", lambda: list(SHIPPED))
        monkeypatch.setattr(
            "workbench.inference.generation.completion_summary", lambda _: "41 tokens, 1,234 tok/s"
        )
        monkeypatch.setattr(
            "workbench.inference.gguf_check._try_in_child", lambda path, timeout_s: ""
        )

    def plain(self, text: str) -> str:
        """The text with the folder's name as on the pages, also where it is cut off."""
        name = str(self.path)
        for end in range(len(name), len(name) - FREE, -1):
            text = text.replace(name[:end], PLACE[:end])
        return text


@contextmanager
def workplace() -> Iterator[Workplace]:
    """Make it, and take it away afterwards."""
    name = "".join(random.choices(string.ascii_lowercase, k=FREE))
    path = Path(PLACE[:-FREE] + name)
    path.mkdir(mode=0o700)
    try:
        _furnish(path)
        yield Workplace(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _furnish(path: Path) -> None:
    _examples(path / "examples.jsonl")
    _examples(path / "faulty.jsonl", {"prompt": "No answer here"})
    (path / "presets").mkdir()
    (path / "presets" / "loans.toml").write_text(PRESET)
    before = Path.cwd()
    os.chdir(path)
    try:
        for age, make in enumerate((_done, _older, _failed, _stopped, _busy)):
            run = _new(path / "runs", f"loans-{age + 1}", 2e-3 / (age + 1))
            make(run, _log(run))
            os.utime(run.preset_file, (1_700_000_000 + age, 1_700_000_000 + age))
    finally:
        os.chdir(before)


def _examples(path: Path, *more: object) -> None:
    """Rows in three categories, one of them told twice, and whatever comes behind them."""
    rows = [
        {
            "prompt": f"Please write a component for a {thing} that shows its {field}.",
            "completion": answer(thing, field),
            "category": ("seen", "fresh words", "invented")[number % 3],
        }
        for number, (thing, field) in enumerate(_things())
    ]
    lines = [json.dumps(row) for row in [*rows, rows[3], *more]]
    path.write_text("\n".join(lines) + "\n")


def _things() -> list[tuple[str, str]]:
    things = ("loan", "ticket", "recipe", "parcel", "invoice", "voucher", "lease", "badge")
    return [(thing, field) for field in ("name", "status", "owner", "due") for thing in things]


def _new(root: Path, name: str, learning_rate: float) -> RunFolder:
    loaded = load("presets/loans.toml", [f"train.0.learning_rate={learning_rate}"])
    run = create(root, loaded.name, name)
    freeze(loaded, run)
    return run


def _log(run: RunFolder) -> EventLog:
    """A log whose clock goes on by a second with every event."""
    at = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)

    def now() -> str:
        nonlocal at
        at += timedelta(seconds=1)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    return EventLog(run.events_file, now=now)


def _begin(log: EventLog) -> None:
    stages = ["prepare", STAGE, "export", "evaluate", "package"]
    log.append(events.RunStarted(pid=4242, host="h", version="1.2.3", stages=stages))
    log.append(events.StageStarted(title="Prepare the data"), "prepare")
    told = {"rows": 34, "train_rows": 28, "validation_rows": 4, "duplicates": 1}
    log.append(events.DataReady(**told, leaks=0, faults=1), "prepare")
    note = "1 finding: examples.jsonl:34: the row ends with the role 'user'"
    log.append(events.Note(message=note, level="warning"), "prepare")
    log.append(events.StageDone(elapsed_s=1.0, inputs="x"), "prepare")
    log.append(events.StageStarted(title="Train: sft"), STAGE)
    plan = events.TrainingPlanned(
        steps=STEPS,
        from_step=0,
        epochs=6.0,
        tokens_per_epoch=4000,
        trained_tokens_per_epoch=2400,
        trainable_parameters=262_144,
        total_parameters=3_000_000,
        device="cpu",
        dtype="float32",
    )
    log.append(plan, STAGE)


def _train(log: EventLog, last: int, steepness: float = 4.0) -> None:
    """Steps up to `last`: a falling curve with a ripple, losses and answers now and then."""
    for number in range(1, last + 1):
        share = number / STEPS
        ripple = 0.08 * math.sin(number * 1.7)
        loss = 0.2 + 2.6 * math.exp(-steepness * share) + ripple
        rate = 2e-3 * min(1.0, share * 10) * (1 - share)
        log.append(step(number, STEPS, loss=loss, learning_rate=rate), STAGE)
        if number % 24 == 0:
            loss = 0.25 + 2.6 * math.exp(-steepness * share)
            log.append(validated(number, loss), STAGE)
            said = answer("loan", "status" if number > 96 else "owner")
            sample = events.Sampled(
                step=number,
                prompt="Please write a component for a loan that shows its status.",
                answer=said if number > 48 else f"A loan\n\n{said[:30]}",
                stopped=number > 72,
            )
            log.append(sample, STAGE)


def _done(run: RunFolder, log: EventLog) -> None:
    """All the way: curves, samples, export with parity, evaluation, Modelfile, models to chat."""
    _begin(log)
    _train(log, STEPS)
    log.append(events.StageDone(elapsed_s=58.0, inputs="x"), STAGE)
    _export(run, log)
    log.append(events.StageStarted(title="Evaluate"), "evaluate")
    for model in MODELS:
        for number, one in enumerate(asked(model)):
            log.append(answered(one, model, number + 1, 30), "evaluate")
    report(run.evaluation, {"tuned": (3, 7, 8), "tuned q4_k_m": (3, 7, 8, 11)})
    for model in MODELS:
        figures = read_report(run.evaluation).models[model].headline
        log.append(events.Evaluated(model=model, figures=figures), "evaluate")
    log.append(events.StageDone(elapsed_s=33.0, inputs="x"), "evaluate")
    log.append(events.StageStarted(title="Package"), "package")
    command = "ollama create loans -f export/Modelfile"
    log.append(events.Packaged(path="export/Modelfile", command=command), "package")
    log.append(events.StageDone(elapsed_s=0.1, inputs="x"), "package")
    log.append(events.RunDone(elapsed_s=120.0))
    log.close()


def _export(run: RunFolder, log: EventLog) -> None:
    log.append(events.StageStarted(title="Export to GGUF"), "export")
    log.append(events.Progress(done=21, total=21, unit="tensors", label="output"), "export")
    fallback = Fallback("output.weight", "q4_k", "q5_0", 96)
    log.append(events.Note(message=f"q4_k_m: {fallback}", level="warning"), "export")
    for kind, size, divergence in (("f16", 6 << 20, 0.0004), ("q4_k_m", 2 << 20, 0.0588)):
        path = f"export/{run.name}-{kind}.gguf"
        file = events.FileExported(
            type=kind, path=path, bytes=size, fallbacks=int(kind != "f16"), elapsed_s=2.0
        )
        log.append(file, "export")
        parity = events.ParityMeasured(
            type=kind,
            kl_mean=divergence,
            kl_max=divergence * 9,
            top1=0.97,
            ids_equal=True,
            passed=True,
        )
        log.append(parity, "export")
        write_tiny(run.path / path, Tiny(says=b"Loan(x) {"))
    log.append(events.StageDone(elapsed_s=11.0, inputs="x"), "export")
    told = {"files": [{"type": "f16", "limit": 0.01}, {"type": "q4_k_m", "limit": 0.3}]}
    (run.export / "parity.json").write_text(json.dumps(told))
    (run.export / "Modelfile").write_text("FROM ./loans-q4_k_m.gguf\nPARAMETER temperature 0.2\n")
    write_tiny(run.evaluation / "base-f16.gguf", Tiny(says=b"<Loan/>"))


def _older(run: RunFolder, log: EventLog) -> None:
    _begin(log)
    _train(log, STEPS, 2.5)
    log.append(events.StageDone(elapsed_s=61.0, inputs="x"), STAGE)
    report(run.evaluation, {"tuned": (3, 12), "tuned q4_k_m": (12,)})
    log.append(events.RunDone(elapsed_s=100.0))
    log.close()


def _failed(run: RunFolder, log: EventLog) -> None:
    _begin(log)
    _train(log, 90)
    log.append(step(91, STEPS, loss=math.nan), STAGE)
    log.append(events.RunFailed(error="the loss is not a number at step 91", status=1))
    log.close()


def _stopped(run: RunFolder, log: EventLog) -> None:
    _begin(log)
    _train(log, 120, 3.0)
    log.append(events.RunStopped(reason="asked"))
    log.close()


def _busy(run: RunFolder, log: EventLog) -> None:
    """At work: what its lock says is replaced, as a test cannot hold it against itself."""
    _begin(log)
    _train(log, 150, 3.5)
    log.close()
    lines = [f"2026-11-21 09:00:{n:02} step {n} of 240" for n in range(40)]
    run.log_file.write_text("\n".join(lines) + "\n")
