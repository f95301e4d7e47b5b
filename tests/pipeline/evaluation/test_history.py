"""What evaluations came to over time: a line when something has changed, a table in the report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tests.reports.helpers import case, write
from workbench.pipeline.evaluation.history import NAME, remember
from workbench.pipeline.evaluation.report_writer import write_report


def test_a_line_a_model_when_something_has_changed(tmp_path: Path) -> None:
    first = write(tmp_path, {"base": [case(0, False)], "tuned": [case(0, False)]})
    assert "## History" not in first.report_markdown.read_text()
    later = replace(first, about=replace(first.about, date="2026-12-01"))
    write_report(later)
    lines = [json.loads(line) for line in (tmp_path / NAME).read_text().splitlines()]
    assert [(line["model"], line["date"]) for line in lines] == [
        ("base", "2026-11-21"),
        ("tuned", "2026-11-21"),
    ]
    better = write(tmp_path, {"base": [case(0, False)], "tuned": [case(0, True)]})
    trained = replace(better.about, date="2026-12-02", training=["sft: 9 steps | x"])
    write_report(replace(better, about=trained))
    text = better.report_markdown.read_text()
    rows = text.partition("## History")[2].partition("##")[0].strip().splitlines()[2:]
    assert rows == [
        "| base | 0.000 (0.000 to 0.000) |  | 2026-11-21 | 1 |  |",
        "| tuned | 0.000 (0.000 to 0.000) |  | 2026-11-21 | 1 |  |",
        "| tuned | 1.000 (1.000 to 1.000) |  | 2026-11-21 | 1 |  |",
        "| tuned | 1.000 (1.000 to 1.000) |  | 2026-12-02 | 1 | sft: 9 steps \\| x |",
    ]


def test_a_damaged_line_is_left_out(tmp_path: Path) -> None:
    result = write(tmp_path, {"base": [case(0, True)]})
    path = tmp_path / NAME
    path.write_bytes(b'{"model": 3}\n[]\n\xff\n' + path.read_bytes() + b'{"model": "torn')
    assert [line["model"] for line in remember(tmp_path, result)] == ["base"]
    assert len(path.read_text().splitlines()) == 1
