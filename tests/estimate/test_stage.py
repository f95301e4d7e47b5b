"""The speed of earlier runs: only those that computed the same, here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.run.helpers import step
from workbench.estimate.stage import past_throughput
from workbench.preset.loader import parse
from workbench.preset.rendering import to_toml
from workbench.preset.schema import Launch, Preset
from workbench.run import events, folder
from workbench.run.log import EventLog

TEXT = """
[[data.source]]
path = "a.txt"
[[train]]
name = "raw"
objective = "pretrain"
[[train]]
name = "sft"
"""


def preset(**model: Any) -> Preset:
    read = parse(TEXT, Path("mine.toml")).preset
    return read.model_copy(update={"model": read.model.model_copy(update=model)})


def planned(from_step: int = 0, processes: int = 1) -> events.TrainingPlanned:
    return events.TrainingPlanned(
        steps=10,
        from_step=from_step,
        epochs=1.0,
        tokens_per_epoch=100,
        trained_tokens_per_epoch=50,
        trainable_parameters=1,
        total_parameters=2,
        device="cpu",
        dtype="float32",
        processes=processes,
    )


def past_run(
    root: Path,
    name: str,
    *,
    host: str = "here",
    lives: int = 1,
    processes: int = 1,
    **model: Any,
) -> None:
    """A run whose stage `raw` took 20 s for 1,000 tokens; of `sft` one step was made."""
    run = folder.create(root, name, name)
    run.preset_file.write_text(to_toml(preset(**model)))
    clock = iter(f"2026-01-01T00:0{second // 60}:{second % 60:02}Z" for second in range(0, 90, 10))
    log = EventLog(run.events_file, now=lambda: next(clock))
    log.append(events.RunStarted(pid=1, host=host, version="0", stages=[]))
    for _ in range(lives):
        log.append(planned(processes=processes), "train:raw")
    log.append(step(1, tokens_per_second=7.0), "train:raw")
    log.append(events.StageDone(elapsed_s=20.0, inputs="", summary={"tokens": 1000}), "train:raw")
    log.append(planned(processes=processes), "train:sft")
    log.append(step(1, tokens_per_second=123.0), "train:sft")
    log.close()


def speeds(root: Path, host: str = "here", **model: Any) -> list[tuple[str, float] | None]:
    wanted = preset(**model)
    found = [past_throughput(wanted, stage, root, host) for stage in wanted.train]
    return [(past.run, past.tokens_per_second) if past else None for past in found]


def test_a_finished_stage_tells_its_whole_time_a_running_one_its_last_step(tmp_path: Path) -> None:
    past_run(tmp_path, "one")
    assert speeds(tmp_path) == [("one", 50.0), ("one", 123.0)]


def test_other_processes_have_another_speed(tmp_path: Path) -> None:
    past_run(tmp_path, "one")
    for launch in (Launch(processes=2), Launch(processes=1, sharding="full")):
        wanted = preset().model_copy(update={"launch": launch})
        assert past_throughput(wanted, wanted.train[0], tmp_path, "here") is None


def test_a_run_under_torchrun_says_nothing_of_one_process(tmp_path: Path) -> None:
    """Its preset names one; the plan tells how many there were."""
    past_run(tmp_path, "one", processes=8)
    assert speeds(tmp_path) == [None, None]


def test_a_resumed_stage_tells_nothing_of_its_whole_time(tmp_path: Path) -> None:
    past_run(tmp_path, "one", lives=2)
    assert speeds(tmp_path)[0] is None


@pytest.mark.parametrize(
    ("host", "model"),
    [("elsewhere", {}), ("here", {"quantization": "nf4"}), ("here", {"base": "other/base"})],
)
def test_another_machine_or_model_says_nothing(
    tmp_path: Path, host: str, model: dict[str, Any]
) -> None:
    past_run(tmp_path, "one", host=host, **model)
    assert speeds(tmp_path) == [None, None]


def test_damaged_runs_are_passed_over(tmp_path: Path) -> None:
    past_run(tmp_path, "one")
    for number, text in enumerate(
        ("", "[[[", "train = 3", "train = [1]", "[[train]]\nname = 1", "model = 2")
    ):
        folder.create(tmp_path, "bad", f"bad{number}").preset_file.write_text(text)
    assert speeds(tmp_path)[0] == ("one", 50.0)
    assert speeds(tmp_path / "nowhere") == [None, None]
