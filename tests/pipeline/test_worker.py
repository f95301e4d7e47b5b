"""The worker from a frozen preset to a Modelfile, on a tiny random base; done stages stay done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import tiny
from workbench.core.files import sha256
from workbench.pipeline import worker
from workbench.pipeline.prepare.stage import load_rows
from workbench.preset.loader import load
from workbench.run import control, events, folder
from workbench.run.event_lines import Record
from workbench.run.folder import RunFolder
from workbench.run.lock import Lock
from workbench.run.log import EventLog, read
from workbench.run.state import RunState
from workbench.runner.frozen_preset import extend, freeze

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

PRESET = """
description = "a tiny run"
[model]
base = "{base}"
device = "cpu"
[data]
validation = 0.2
[[data.source]]
name = "pairs"
path = "{pairs}"
[[data.source]]
name = "raw"
path = "{raw}"
format = "text"
[[train]]
name = "raw"
objective = "pretrain"
source = ["raw"]
sequence_length = 64
max_steps = 3
batch_tokens = 256
[train.adapter]
kind = "full"
[[train]]
name = "sft"
source = ["pairs"]
sequence_length = 128
max_steps = 6
batch_tokens = 256
save_every = 2.0
learning_rate = 1e-3
[train.adapter]
rank = 4
[export]
formats = ["f16", "q8_0"]
[generate]
temperature = 0
max_tokens = 12
context = 256
stop = ["<|im_end|>"]
[evaluate]
prompts = "validation"
checker = ["{python}", "-c", "import sys; sys.exit(0)", "{file}"]
limit = 3
"""


def pairs(count: int) -> str:
    blocks = []
    for n in range(count):
        blocks.append(f"# INPUT\n\nGive me a list of thing{n}\n\n# OUTPUT\n\ndef Thing{n}() {{}}\n")
    return "\n".join(blocks)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    (tmp_path / "pairs.txt").write_text(pairs(20) + pairs(1))
    (tmp_path / "raw").mkdir()
    for n in range(5):
        (tmp_path / "raw" / f"{n}.txt").write_text(f"document {n} " * 20)
    base = tiny.save_base(tmp_path / "base", "qwen2")
    text = PRESET.replace("{base}", str(base)).replace("{pairs}", str(tmp_path / "pairs.txt"))
    preset = tmp_path / "tiny.toml"
    preset.write_text(text.replace("{raw}", str(tmp_path / "raw")))
    made = folder.create(tmp_path / "runs", "tiny")
    freeze(load(str(preset)), made)
    return made


def work(run: RunFolder, *stages: str, stop_after: int = 0) -> int:
    """What the worker's main does, in this process: no signals, and a stop at the n-th look."""
    looks = iter(range(1, 10**9))
    lock, log = Lock(run.lock_file), EventLog(run.events_file)
    try:
        return worker.work(run, log, stages, lambda: next(looks) == stop_after)
    finally:
        log.close()
        lock.release()


def state_of(run: RunFolder) -> RunState:
    state = RunState()
    state.apply(read(run.events_file))
    return state


def of_kind(records: list[Record], kind: type[events.Event]) -> list[Record]:
    return [record for record in records if isinstance(record.event, kind)]


def test_all_the_way_and_then_nothing_again(run: RunFolder) -> None:
    assert work(run) == 0, run.events_file.read_text()[-2000:]
    state = state_of(run)
    assert state.status == "done"
    assert [s.status for s in state.stages.values()] == ["done"] * 6
    assert {kind: p.passed for kind, p in state.parity.items()} == {"f16": True, "q8_0": True}
    assert state.parity["f16"].kl_mean <= 1e-4 and state.parity["f16"].ids_equal
    assert set(state.figures) == {"base", "tuned", "tuned q8_0"}
    assert state.data is not None and state.data.duplicates == 1
    assert state.load is not None and state.stages["train:sft"].memory is not None
    report = (run.evaluation / "report.md").read_text()
    assert "## Training" in report and "general-text loss" in report
    assert "1 duplicate row removed" in report
    assert any(note.message.startswith("1 duplicate row removed: ") for note in state.notes)
    modelfile = (run.export / "Modelfile").read_text()
    assert f"FROM ./{run.name}-q8_0.gguf" in modelfile and "<|im_end|>" in modelfile
    seen = state.last_seq
    assert work(run) == 0
    again = [record for record in read(run.events_file) if record.seq > seen]
    assert [r.stage for r in of_kind(again, events.StageSkipped)] == list(state.stages)
    assert not of_kind(again, events.StageStarted)


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning")
def test_added_tokens_go_all_the_way(run: RunFolder) -> None:
    """From the preset to a GGUF that equals the trained model; the base is asked without them."""
    text = run.preset_file.read_text()
    run.preset_file.write_text(
        text.replace("added_tokens = []", 'added_tokens = ["<think>", "Thing"]')
        .replace('kind = "full"', 'kind = "lora"')
        .replace("limit = 3", "limit = 1")
    )
    assert work(run) == 0, state_of(run).error
    state = state_of(run)
    assert state.parity["f16"].kl_mean <= 1e-4 and state.parity["f16"].ids_equal
    assert set(state.figures) == {"base", "tuned", "tuned q8_0"}
    vocabulary = json.loads((run.tokenizer / "tokenizer.json").read_bytes())["added_tokens"]
    assert [token["content"] for token in vocabulary][-2:] == ["<think>", "Thing"]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_two_stages_on_a_base_in_four_bits_go_all_the_way(run: RunFolder) -> None:
    """QLoRA: the files are those of the base as it is stored, with both stages' adapters in it;
    how far that is from what was trained is told, and stands in the report."""
    text = run.preset_file.read_text().replace('prompts = "validation"', 'prompts = ""')
    run.preset_file.write_text(
        text.replace('quantization = "none"', 'quantization = "nf4"').replace(
            'kind = "full"', 'kind = "lora"'
        )
    )
    assert work(run) == 0, state_of(run).error
    state = state_of(run)
    assert state.parity["f16"].passed and state.parity["f16"].kl_mean <= 1e-5
    report = json.loads((run.export / "parity.json").read_bytes())["files"]
    apart = [entry["trained_on"] for entry in report]
    assert [one["type"] for one in apart] == ["nf4", "nf4"] and 1e-4 < apart[0]["kl_mean"] < 1
    (said,) = [note.message for note in state.notes if note.message.startswith("trained on")]
    assert f"{apart[0]['kl_mean']:.2g} nats from the model as trained" in said
    assert state.export_plan and state.export_plan.adapters == 2


def test_extended_it_trains_on_and_does_again_what_comes_after(run: RunFolder) -> None:
    text = run.preset_file.read_text().replace('prompts = "validation"', 'prompts = ""')
    run.preset_file.write_text(text)
    assert work(run) == 0
    seen, steps = state_of(run).last_seq, state_of(run).stages["train:sft"].steps[-1].step
    extend(run, steps="+2")
    assert work(run) == 0, state_of(run).error
    again = [record for record in read(run.events_file) if record.seq > seen]
    started = [record.stage for record in of_kind(again, events.StageStarted)]
    assert started == ["train:sft", "export", "package"], "the data and the first stage stand"
    assert [r.event.step for r in of_kind(again, events.Step)] == [steps + 1, steps + 2]  # type: ignore[attr-defined]


def test_a_damaged_file_is_made_again_and_what_stands_on_it(run: RunFolder) -> None:
    assert work(run) == 0
    gguf = run.export / f"{run.name}-q8_0.gguf"
    whole = sha256(gguf)
    gguf.write_bytes(b"not a model")
    seen = state_of(run).last_seq
    assert work(run) == 0
    again = [record for record in read(run.events_file) if record.seq > seen]
    started = [record.stage for record in of_kind(again, events.StageStarted)]
    assert started[0] == "export" and "train:sft" not in started
    assert sha256(gguf) == whole


def test_stopped_and_resumed_gives_the_same_adapter(run: RunFolder, tmp_path: Path) -> None:
    assert work(run, "prepare", "train") == 0
    adapter = run.training("sft") / "adapters/final/adapter_model.safetensors"
    whole = sha256(adapter)
    twin = folder.create(tmp_path / "runs", "tiny")
    twin.preset_file.write_bytes(run.preset_file.read_bytes())
    for looks in (6, 4, 5):
        if work(twin, "prepare", "train", stop_after=looks) == 0:
            break
        assert state_of(twin).status == "stopped"
    assert work(twin, "prepare", "train") == 0
    assert sha256(twin.training("sft") / "adapters/final/adapter_model.safetensors") == whole


def test_held_out_rows_are_never_trained_on(run: RunFolder) -> None:
    assert work(run, "prepare") == 0
    train, held = (load_rows(run.dataset / f"{n}.jsonl") for n in ("train", "heldout"))
    assert held and not {row.place for row in train} & {row.place for row in held}
    report = json.loads((run.dataset / "report.json").read_bytes())
    assert len(report["duplicates"]) == 1 and report["duplicates"][0][1].endswith("pairs.txt:1")


def test_a_stage_that_lacks_another_is_refused(run: RunFolder) -> None:
    assert work(run, "export") == 2
    assert "--stages: export needs prepare, train:raw, train:sft first" in state_of(run).error


def test_a_sequence_length_that_leaves_no_row_is_refused(run: RunFolder) -> None:
    text = run.preset_file.read_text()
    run.preset_file.write_text(text.replace("sequence_length = 128", "sequence_length = 10"))
    assert work(run) == 2
    assert "no row fits sequence_length = 10" in state_of(run).error
    assert not run.training("raw").exists(), "it was known before anything was trained"


def test_a_base_that_cannot_be_exported_is_refused_before_it_is_trained(run: RunFolder) -> None:
    config = run.path.parent.parent / "base" / "config.json"
    config.write_text(config.read_text().replace("Qwen2ForCausalLM", "NovelForCausalLM"))
    assert work(run) == 2
    assert "architecture NovelForCausalLM cannot be written as GGUF" in state_of(run).error
    assert not run.training("raw").exists()


def test_a_full_disk_fails_in_one_line_and_resumes(run: RunFolder) -> None:
    command = [sys.executable, "-m", "workbench.pipeline.worker", str(run.path)]
    command += ["--stages", "prepare,train"]
    environment = {**os.environ, "WORKBENCH_FAULT": "rename:9:enospc"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    state = state_of(run)
    assert done.returncode == 1 and state.status == "failed"
    assert state.error == f"disk full: free some space, then run: workbench resume {run.name}"
    assert work(run, "prepare", "train") == 0


def test_sigterm_checkpoints_and_leaves_and_sighup_is_nothing(run: RunFolder) -> None:
    text = run.preset_file.read_text().replace("max_steps = 6", "max_steps = 100000")
    run.preset_file.write_text(text)
    command = [sys.executable, "-m", "workbench.pipeline.worker", str(run.path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_steps(run, 3)
        process.send_signal(signal.SIGHUP)
        wait_for_steps(run, 6)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 130
    finally:
        process.kill()
    state = state_of(run)
    assert state.status == "stopped" and state.exit_status == 130
    newest = max((run.training("sft")).glob("step-*"))
    assert int(newest.name[5:]) == state.stages["train:sft"].steps[-1].step


def test_a_second_worker_is_turned_away(run: RunFolder) -> None:
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.lock_file)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert held.stdout is not None and held.stdout.readline().strip() == "held"
        before = run.path.stat().st_mtime_ns
        command = [sys.executable, "-m", "workbench.pipeline.worker", str(run.path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2 and f"this run is in use by process {held.pid}" in done.stderr
        assert run.path.stat().st_mtime_ns == before and not run.events_file.exists()
    finally:
        held.kill()
        held.wait()
        assert held.stdout is not None
        held.stdout.close()


HOLD = """
import sys, time
from pathlib import Path
from workbench.run.lock import Lock
lock = Lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def wait_for_steps(run: RunFolder, count: int, limit_s: float = 90) -> None:
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        sft = state_of(run).stages.get("train:sft")
        if sft and len(sft.steps) >= count:
            return
        time.sleep(0.2)
    raise AssertionError(run.events_file.read_text()[-2000:])


def test_a_bug_leaves_its_traceback_in_the_log_and_one_line(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **more: object) -> None:
        raise ZeroDivisionError("in the middle of it")

    monkeypatch.setattr("workbench.pipeline.training.job.prepare_stage", broken)
    assert work(run) == 1
    error = state_of(run).error
    assert error.startswith("ZeroDivisionError: in the middle of it") and "\n" not in error
    assert "Traceback" in capsys.readouterr().err


def test_control_stop_from_an_earlier_life_does_not_linger(run: RunFolder) -> None:
    control.send_request(run.control, "stop")
    work(run, "prepare")
    assert not control.is_requested(run.control, "stop")
