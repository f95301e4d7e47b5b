from __future__ import annotations

from pathlib import Path

import pytest

from tests.run.helpers import make_run
from workbench.core.errors import UserError
from workbench.run import events, export_requests
from workbench.run.export_requests import ExportRequest, missing, parse, requests
from workbench.run.folder import RunFolder
from workbench.run.log import EventLog

BOTH = ExportRequest(("q5_k_m", "q8_0"), merged=True)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "runs")


def export(run: RunFolder, kind: str) -> None:
    path = run.export / f"one-{kind}.gguf"
    path.write_bytes(b"x")
    log = EventLog(run.events_file)
    place = path.relative_to(run.path).as_posix()
    log.append(
        events.FileExported(type=kind, path=place, bytes=1, fallbacks=0, elapsed_s=1.0), "export"
    )
    log.close()


def test_a_stages_name_says_all_of_it() -> None:
    assert BOTH.stage == "export:q5_k_m+q8_0+merged"
    assert parse(BOTH.stage) == BOTH
    assert parse("export:merged") == ExportRequest((), merged=True)
    for name in ("export", "export:", "train:sft", "export:+"):
        assert parse(name) is None


def test_the_record(run: RunFolder) -> None:
    assert requests(run) == []
    one = ExportRequest(("f32",))
    for request in (one, BOTH, one):
        export_requests.record(run, request)
    assert requests(run) == [BOTH, one]
    export_requests.withdraw(run, BOTH)
    assert requests(run) == [one]


@pytest.mark.parametrize("damage", ["", "[]", '{"stages": [3]}', '{"stages": ["train:x"]}'])
def test_a_damaged_record_is_told(run: RunFolder, damage: str) -> None:
    (run.path / "exports.json").write_text(damage)
    with pytest.raises(UserError, match="exports.json: the export record is damaged"):
        requests(run)


def test_only_what_is_not_there_is_missing(run: RunFolder) -> None:
    assert missing(run, BOTH) == BOTH
    export(run, "q8_0")
    assert missing(run, BOTH) == ExportRequest(("q5_k_m",), merged=True)
    export(run, "q5_k_m")
    (run.export / "merged").mkdir()
    assert missing(run, BOTH) == ExportRequest((), merged=True)
    (run.export / "merged" / "manifest.json").write_text("{}")
    assert missing(run, BOTH) is None
    (run.export / "one-q8_0.gguf").unlink()
    assert missing(run, BOTH) == ExportRequest(("q8_0",))
