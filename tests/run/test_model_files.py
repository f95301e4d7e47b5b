"""Which file of a run is served, and which one is vouched for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.run.helpers import make_run
from workbench.core.errors import UserError
from workbench.run import events
from workbench.run.folder import RunFolder
from workbench.run.log import EventLog
from workbench.run.model_files import base_gguf, digests, served_gguf

PRESET = """
[[data.source]]
path = "x.txt"
[[train]]
[export]
formats = ["f16", "q8_0"]
"""


def exported(run: RunFolder, *formats: str) -> None:
    log = EventLog(run.events_file)
    artefacts = []
    for name in formats:
        path = run.export / f"one-{name}.gguf"
        path.write_bytes(b"x")
        place = f"export/{path.name}"
        made = {"path": place, "bytes": 1, "fallbacks": 0, "elapsed_s": 1.0}
        log.append(events.FileExported(type=name, **made), "export")
        artefacts.append({"path": place, "bytes": 1, "sha256": name * 3})
    artefacts.append({"path": "export/parity.json", "bytes": 1, "sha256": "p"})
    log.append(events.StageDone(elapsed_s=1.0, inputs="", artefacts=artefacts), "export")
    log.close()


def test_the_last_of_the_presets_formats_is_served(tmp_path: Path) -> None:
    run = make_run(tmp_path, preset=PRESET)
    exported(run, "q8_0", "f16")  # in whatever order they were made
    assert served_gguf(run) == run.export / "one-q8_0.gguf"
    assert sorted(digests(run)) == ["f16f16f16", "q8_0q8_0q8_0"]


def test_a_run_without_a_model_says_so(tmp_path: Path) -> None:
    run = make_run(tmp_path, preset=PRESET)
    assert digests(run) == []
    with pytest.raises(UserError, match="not exported a model yet .*workbench attach one"):
        served_gguf(run)
    exported(run, "f16")
    assert served_gguf(run).name == "one-f16.gguf"
    served_gguf(run).unlink()
    with pytest.raises(UserError, match="the model file is missing .*workbench resume one"):
        served_gguf(run)


def test_the_base_is_there_once_it_was_asked(tmp_path: Path) -> None:
    run = make_run(tmp_path, preset=PRESET)
    with pytest.raises(UserError, match="has no base model file"):
        base_gguf(run)
    (run.evaluation / "base-f16.gguf").write_bytes(b"x")
    assert base_gguf(run) == run.evaluation / "base-f16.gguf"
