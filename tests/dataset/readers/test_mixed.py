"""Sources of all formats in one run: read by their keys, split by category, weighed, repeated."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from workbench.dataset.reader_options import ReaderOptions
from workbench.dataset.rows import Row
from workbench.dataset.sources import read_source
from workbench.pipeline.prepare.training_data import (
    repeat_rows,
    rows_of_stage,
    source_name,
    split_rows,
)
from workbench.preset.loader import load
from workbench.preset.lookup import with_absolute_source
from workbench.preset.schema import Preset

SAMPLES = Path(__file__).resolve().parents[3] / "data" / "samples"
PRESET = """
[data]
validation = 0.25
[[data.source]]
name = "examples"
path = "markdown"
repeat = 3
[[data.source]]
name = "topics"
path = "topics"
placeholders = { NAME = "Ada" }
[[data.source]]
name = "pairs"
path = "dolly.jsonl"
format = "prompt-completion"
weight = 2.5
[data.source.fields]
prompt = "instruction"
completion = "response"
[[data.source]]
name = "asked"
path = "chat.jsonl.gz"
use = "validation"
[[data.source]]
name = "speeches"
path = "speeches.csv.zst"
structure_tokens = true
rows = 2
[[data.source]]
name = "code"
path = "code"
suffixes = [".py"]
[[train]]
name = "raw"
objective = "pretrain"
[[train]]
name = "tune"
source = ["examples", "topics", "pairs"]
"""


def read_all(preset: Preset, file: Path) -> list[Row]:
    rows: list[Row] = []
    for number, source in enumerate(preset.data.source):
        found = with_absolute_source(source, file)
        name, options = source_name(source, number), ReaderOptions(**found.options())
        reading = read_source(found.path, found.format, name, options=options)
        assert not reading.fatal, reading.fatal
        rows += reading.rows
    return rows


def test_sources_of_all_formats_mix(tmp_path: Path) -> None:
    file = tmp_path / "mix.toml"
    file.write_text(PRESET.replace('path = "', f'path = "{SAMPLES}/'))
    preset = load(str(file)).preset
    rows = read_all(preset, file)
    counts = {"examples": 4, "topics": 4, "pairs": 3, "asked": 4, "speeches": 2, "code": 1}
    assert Counter(row.source for row in rows) == counts
    assert [row for row in rows if row.source == "speeches"][0].text.startswith("<SPEAKER>Ada")

    splits = split_rows(rows, preset.data)
    assert {row.source for row in splits.validation} >= {"asked"}
    assert sorted(map(repr, splits.train + splits.validation)) == sorted(map(repr, rows))

    raw, tune = (rows_of_stage(splits.train, stage, preset.data) for stage in preset.train)
    assert {row.source for row in raw} <= {"speeches", "code"} and raw
    assert {row.source for row in tune} == {"examples", "topics", "pairs"}
    shown = Counter(row.source for row in repeat_rows(tune, preset.data))
    trained = Counter(row.source for row in tune)
    assert shown["examples"] == 3 * trained["examples"]
    assert shown["topics"] == trained["topics"]
    assert shown["pairs"] == 2 * trained["pairs"] + round(trained["pairs"] * 0.5)


def test_every_fact_of_a_row_survives_the_run_s_own_copy() -> None:
    for path in SAMPLES.iterdir():
        if path.suffix not in (".parquet", ".arrow"):
            for row in read_source(path, options=ReaderOptions(placeholders={"NAME": "Ada"})).rows:
                assert Row.from_json(row.to_json()) == row
