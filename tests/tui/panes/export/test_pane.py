"""The export on the screen: tensors as they go, files with their parity, how to go on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.run.helpers import make_run
from tests.serving.fake_ollama import running
from tests.tui.helpers import HOSTILE, on_screen, text_of, until
from workbench.run import events
from workbench.run.export_requests import ExportRequest
from workbench.run.folder import RunFolder, runs_root
from workbench.run.lock import Owner
from workbench.run.log import EventLog, read
from workbench.run.state import RunState
from workbench.tui.app import WorkbenchApp
from workbench.tui.panes.chat.model_list import Model, exported_model
from workbench.tui.panes.chat.pane import ChatPane
from workbench.tui.panes.export.pane import ExportPane
from workbench.tui.panes.export.progress import SIGNS, steps
from workbench.tui.runs import controller
from workbench.tui.runs.controller import RunController

STAGE = "export"


@pytest.fixture
def at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker holds every run."""
    monkeypatch.setattr("workbench.run.lock.owner", lambda path: Owner(1, 2, "boot"))


def begun(name: str = "going") -> tuple[RunFolder, EventLog]:
    run = make_run(runs_root(), name)
    log = EventLog(run.events_file)
    log.append(events.RunStarted(pid=1, host="h", version="0", stages=[STAGE, "package"]))
    log.append(events.StageStarted(title="Export to GGUF"), STAGE)
    return run, log


def progress(log: EventLog, done: int) -> None:
    detail = f"blk.{done}.attn_q.weight {HOSTILE}"
    label = "write f16 + q4_k_m"
    log.append(
        events.Progress(done=done, total=8, unit="tensors", label=label, detail=detail), STAGE
    )


def planned(log: EventLog, **fields: Any) -> None:
    planned: dict[str, Any] = {"adapters": 1, "tensors": 8, "bytes": {"f16": 6 << 20}}
    log.append(events.ExportPlanned(**planned | fields), STAGE)


def export(log: EventLog, kind: str, passed: bool = True, fallbacks: int = 0) -> None:
    path = f"export/one-{kind}.gguf"
    file = events.FileExported(
        type=kind, path=path, bytes=3 << 20, fallbacks=fallbacks, elapsed_s=2.0
    )
    log.append(file, STAGE)
    parity = events.ParityMeasured(
        type=kind, kl_mean=0.0588, kl_max=1.07, top1=0.8735, ids_equal=passed, passed=passed
    )
    log.append(parity, STAGE)


def finished(name: str = "made") -> RunFolder:
    run, log = begun(name)
    progress(log, 8)
    note = f"q4_k_m: output.weight takes q6_k {HOSTILE}"
    log.append(events.Note(message=note, level="warning"), STAGE)
    export(log, "f16")
    export(log, "q4_k_m", passed=False, fallbacks=2)
    log.append(events.StageDone(elapsed_s=116.0, inputs="x"), STAGE)
    log.append(events.Packaged(path="export/Modelfile", command="ollama create x"), "package")
    log.append(events.RunDone(elapsed_s=200.0))
    log.close()
    report = {"files": [{"type": "q4_k_m", "limit": 0.3, "warning": "noisy"}]}
    (run.export / "parity.json").write_text(json.dumps(report))
    (run.export / "Modelfile").write_text(f"FROM ./x.gguf\n{HOSTILE}\n")
    (run.evaluation / "base-f16.gguf").write_bytes(b"")
    return run


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (160, 48)])
def test_tensors_come_one_by_one(size: tuple[int, int], at_work: None) -> None:
    _, log = begun()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await app.go("export")
        for done in (1, 5):
            progress(log, done)
            wanted = f"{done} of 8 tensors"
            await until(pilot, lambda wanted=wanted: wanted in text_of(app))  # type: ignore[misc]
        assert "\x1b" not in text_of(app)

    on_screen(story, size)
    log.close()


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
def test_files_parity_fallbacks_and_commands(size: tuple[int, int]) -> None:
    run = finished()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        pane = await app.go("export")
        await until(pilot, lambda: "verdict" in text_of(app))
        text = text_of(app)
        assert "export done in 1:56" in text and "3.0 MiB" in text and "fallback" in text
        assert "✓ passed" in text and "✗ failed" in text and "0.059" in text and "3e-01" in text
        assert "! q4_k_m: output.weight takes q6_k" in text and "\x1b" not in text
        assert "workbench chat made --compare base" in text and "ollama create x" in text
        assert pane.copied()[0].splitlines()[2] == "ollama create x"
        await pilot.press("m")
        assert "FROM ./x.gguf" in text_of(app) and "\x1b" not in text_of(app)
        assert pane.copied() == ((run.export / "Modelfile").read_text(), "the Modelfile")
        await pilot.press("tab", "m")
        assert "Next steps" in text_of(app)

    on_screen(story, size)


def test_a_model_is_taken_to_the_chat(monkeypatch: pytest.MonkeyPatch) -> None:
    run = finished()
    taken: list[Model] = []
    monkeypatch.setattr(ChatPane, "talk_to", lambda pane, model: taken.append(model))

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await app.go("export")
        await until(pilot, lambda: "verdict" in text_of(app))
        await pilot.press("j", "enter")
        assert taken == [exported_model(run, run.path / "export/one-q4_k_m.gguf", "q4_k_m")]
        assert app.pane_id == "chat"

    on_screen(story)


def way_of(log: EventLog, run: RunFolder) -> str:
    state = RunState()
    state.apply(read(run.events_file))
    return " ".join(f"{SIGNS[mark][0]}{name}" for name, mark in steps(state))


def test_the_way_from_adapter_to_modelfile() -> None:
    run, log = begun()
    assert way_of(log, run) == "▶adapter ·merge ·GGUF ·quantize ·compare ·Modelfile"
    planned(log, bytes={"f16": 6, "q8_0": 3, "iq4_nl": 2})
    progress(log, 3)
    assert way_of(log, run) == "✓adapter ▶merge ▶GGUF ▶quantize ·compare ·Modelfile"
    log.append(events.Progress(done=1, total=8, unit="tensors", label="quantize to iq4_nl"), STAGE)
    assert way_of(log, run) == "✓adapter ✓merge ✓GGUF ▶quantize ·compare ·Modelfile"
    log.append(events.Progress(done=0, total=3, unit="files", label="compare"), STAGE)
    assert way_of(log, run) == "✓adapter ✓merge ✓GGUF ✓quantize ▶compare ·Modelfile"
    log.append(events.RunFailed(error="parity", status=1))
    assert way_of(log, run) == "✓adapter ✓merge ✓GGUF ✓quantize ✗compare ·Modelfile"
    log.append(events.StageStarted(title="Export"), STAGE)
    planned(log, bytes={"f16": 6}, adapters=0, merged=True)
    log.append(events.Progress(done=1, total=8, unit="tensors", label="merge into x"), STAGE)
    expected = "–no adapter ✓merge ✓GGUF –quantize ✓compare ▶safetensors ·Modelfile"
    assert way_of(log, run) == expected
    log.append(events.StageDone(elapsed_s=1.0, inputs="x"), STAGE)
    log.append(events.StageDone(elapsed_s=1.0, inputs="x"), "package")
    assert way_of(log, run).endswith("✓safetensors ✓Modelfile")
    log.close()


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
def test_what_is_to_come_stands_in_the_table(size: tuple[int, int], at_work: None) -> None:
    _, log = begun()
    planned(log, bytes={"f16": 6 << 20, "q4_k_m": 2 << 20}, fallbacks={"q4_k_m": ["a: q5_0"]})
    export(log, "f16")
    progress(log, 2)

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        pane = await app.go("export")
        await until(pilot, lambda: "writing ..." in text_of(app))
        text = text_of(app)
        assert "~2.0 MiB" in text and "✓ passed" in text and "! q4_k_m: a: q5_0" in text
        await pilot.press("end")
        assert not pane.allows("chat"), "there is no file yet"

    on_screen(story, size)
    log.close()


def test_one_more_type_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    run = finished()
    log = EventLog(run.events_file)
    log.append(events.StageDone(elapsed_s=1.0, inputs="x"), "train:sft")
    log.append(events.RunDone(elapsed_s=1.0))
    log.close()
    asked = list[tuple[RunFolder, ExportRequest]]()
    monkeypatch.setattr(controller, "export", lambda run, request: asked.append((run, request)))
    monkeypatch.setattr(RunController, "_take", lambda self, started, command: print(*command))

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await app.go("export")
        await until(pilot, lambda: "verdict" in text_of(app))
        for name in ("q8_0", "merged"):
            await pilot.press("x")
            app.screen.query_one(Input).value = name
            await pilot.pause()
            if name == "q8_0":
                assert "nearly indistinguishable from f16" in text_of(app) and "about " in text_of(
                    app
                )
            await pilot.press("enter")
        await until(pilot, lambda: len(asked) == 2)

    on_screen(story)
    wanted = [ExportRequest(("q8_0",)), ExportRequest((), merged=True)]
    assert [request for _, request in asked] == wanted


PRESET = '[[data.source]]\npath = "x"\n[[train]]\nname = "sft"\n[ollama]\nname = "called"\n'


@pytest.mark.parametrize(
    ("fault", "said"),
    [("", "created made in Ollama"), ("refuses", "did not create called: unknown type")],
)
def test_a_model_is_made_in_ollama(monkeypatch: pytest.MonkeyPatch, fault: str, said: str) -> None:
    run = finished()
    run.preset_file.write_text(PRESET)
    (run.export / "Modelfile").write_text("FROM ./x.gguf\n")
    (run.export / "one-f16.gguf").write_bytes(b"GGUF")

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await app.go("export")
        await until(pilot, lambda: "verdict" in text_of(app))
        await pilot.press("o")
        entry = app.screen.query_one(Input)
        assert entry.value == "called" and "made f16" in text_of(app)
        entry.value = "no name"
        await pilot.press("enter")
        assert "use a name such as gemma-blop" in text_of(app)
        entry.value = "made" if not fault else "called"
        await pilot.press("enter")
        await until(pilot, lambda: said in app.status.line, 30)

    with running(fault) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.address)
        on_screen(story)
    assert [request["model"] for request in server.created] == ["called" if fault else "made"]


def test_what_is_made_in_ollama_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    run = finished()
    run.preset_file.write_text(PRESET)
    waits = (sys.executable, "-c", "import time; print('{}', flush=True); time.sleep(60)")
    monkeypatch.setattr(
        "workbench.tui.panes.export.ollama_upload.OllamaUpload.__init__.__defaults__", (waits,)
    )

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        pane = await app.go("export")
        await until(pilot, lambda: "verdict" in text_of(app))
        await pilot.press("o", "enter")
        await until(pilot, lambda: "press o to cancel" in app.status.line)
        assert pane.allows("ollama")
        await pilot.press("o")
        assert app.status.line == "stopped; the model was not created in Ollama"

    on_screen(story)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: None, "No run selected"),
        (lambda: begun()[1].close(), "has not exported anything yet"),
    ],
)
def test_what_there_is_to_do_before_there_is_a_file(make: Callable[[], object], said: str) -> None:
    make()

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        pane = await app.go("export")
        assert isinstance(pane, ExportPane)
        await until(pilot, lambda: said in text_of(app))
        assert not pane.allows("chat")

    on_screen(story)


def test_a_damaged_report_is_no_reason_to_fail() -> None:
    run = finished()
    (run.export / "parity.json").write_text('{"files": [7]}')

    async def story(pilot: Pilot[None], app: WorkbenchApp) -> None:
        await app.go("export")
        await until(pilot, lambda: "✗ failed" in text_of(app))

    on_screen(story)
