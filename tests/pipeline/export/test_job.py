"""More exports of a run that has trained: by its worker, one after the other, none lost."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.pipeline.test_worker import of_kind, state_of, work
from tests.serving.fake_ollama import running
from workbench.core.files import sha256
from workbench.pipeline.export.model_card import licence_of
from workbench.run import events, export_requests
from workbench.run.folder import RunFolder
from workbench.run.log import read
from workbench.run.model_files import digests

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def types_in_report(run: RunFolder) -> list[str]:
    report = json.loads((run.export / "parity.json").read_bytes())
    return [entry["type"] for entry in report["files"]]


def test_more_types_beside_what_stands(trained_run: RunFolder) -> None:
    run = trained_run
    first = run.export / f"{run.name}-f16.gguf"
    before = sha256(first)
    assert work(run, "export:q8_0+iq4_nl+merged") == 0, state_of(run).error
    state = state_of(run)
    assert state.status == "done" and list(state.exported) == ["f16", "q8_0", "iq4_nl"]
    assert all(parity.passed for parity in state.parity.values())
    assert types_in_report(run) == ["f16", "q8_0", "iq4_nl"]
    assert sha256(first) == before and (run.export / "merged" / "config.json").is_file()
    assert {sha256(run.path / made.path) for made in state.exported.values()} <= set(digests(run))
    assert state.export_plan and set(state.export_plan.bytes) == {"q8_0", "iq4_nl"}
    assert any("iq4_nl: " in note.message for note in state.notes), "64 columns: fallbacks"
    assert not [path for path in run.export.iterdir() if path.name.startswith(".")]
    seen = state.last_seq
    assert work(run, "prepare", "train", "export") == 0
    again = [record for record in read(run.events_file) if record.seq > seen]
    assert not of_kind(again, events.StageStarted), "nothing is done twice"


def test_the_merged_model_alone(trained_run: RunFolder) -> None:
    run = trained_run
    assert work(run, "export:merged") == 0, state_of(run).error
    assert (run.export / "merged" / "manifest.json").is_file()
    assert list(state_of(run).exported) == ["f16"] and types_in_report(run) == ["f16"]


def test_the_merged_model_has_a_card(trained_run: RunFolder) -> None:
    run = trained_run
    base = Path(json.loads((run.path / "base.json").read_bytes())["path"])
    (base / "README.md").write_text("---\nlicense: apache-2.0\n---\n# tiny\n")
    assert work(run, "export:q8_0+merged") == 0, state_of(run).error
    card = (run.export / "merged" / "README.md").read_text()
    assert "license: apache-2.0" in card and "base_model" not in card
    assert "- **raw** (pretrain): full fine-tuning, 3 steps" in card
    assert "- **sft** (sft): lora, rank 4, 6 steps, learning rate 0.001; best" in card
    assert sha256(run.dataset / "train.jsonl") in card and "`pairs.txt`, `raw`" in card
    assert sha256(run.preset_file) in card
    assert "| q8_0 | " in card and "| f16 | " in card
    assert str(run.path.parent) not in card and str(base.parent) not in card
    (base / "README.md").unlink()
    assert licence_of(base) == ""


def test_a_type_there_is_not_is_refused_and_not_kept(trained_run: RunFolder) -> None:
    run = trained_run
    assert work(run, "export:q9") == 2
    assert "unknown GGUF type 'q9'" in state_of(run).error and export_requests.requests(run) == []


def test_what_has_not_trained_cannot_be_exported(trained_run: RunFolder) -> None:
    run = trained_run
    shutil.rmtree(run.training("sft"))
    assert work(run, "export:q8_0") == 2
    assert f"needs train:sft first (workbench resume {run.name})" in state_of(run).error


def test_a_request_that_failed_is_off_the_record(
    trained_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained_run
    monkeypatch.setitem(
        __import__("workbench.pipeline.export.parity", fromlist=["x"]).HARD_LIMITS, "f16", -1.0
    )
    assert work(run, "export:q8_0") == 1
    assert "parity check failed: the f16 file differs from the trained model" in state_of(run).error
    assert export_requests.requests(run) == []


def test_the_preset_has_the_model_made_in_ollama(
    trained_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained_run
    text = run.preset_file.read_text().replace("create = false", "create = true")
    run.preset_file.write_text(text.replace('prompts = "validation"', 'prompts = ""'))
    stages = ("prepare", "train", "export", "package")
    with running("refuses") as server:
        monkeypatch.setenv("OLLAMA_HOST", server.address)
        assert work(run, *stages) == 1
        refusal = f"{server.address} did not create {run.name}: unknown type"
        assert state_of(run).error.startswith(refusal)
        server.fault = ""
        assert work(run, *stages) == 0, state_of(run).error
    assert server.created[-1]["parameters"]["stop"] == ["<|im_end|>"]
    assert list(server.created[-1]["files"]) == [f"{run.name}-f16.gguf"]
    state = state_of(run)
    assert f"created {run.name} in Ollama at {server.address}" in [
        note.message for note in state.notes
    ]
    assert state.packaged[0].command.startswith(f"ollama create {run.name} -f /")


def test_killed_amid_it_and_asked_again(trained_run: RunFolder) -> None:
    run = trained_run
    command = [sys.executable, "-m", "workbench.pipeline.worker", str(run.path)]
    process = subprocess.Popen([*command, "--stages", "export:iq4_nl"])
    until = time.monotonic() + 60
    while not list(run.export.glob(".*.part")) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(run.export.glob(".*.part")), "it was amid its work"
    assert [request.stage for request in export_requests.requests(run)] == ["export:iq4_nl"]
    assert work(run, "export:iq4_nl") == 0, state_of(run).error
    assert state_of(run).status == "done"
    assert sorted(path.name for path in run.export.iterdir()) == [
        "answers.md",
        "parity.json",
        f"{run.name}-f16.gguf",
        f"{run.name}-iq4_nl.gguf",
    ]
