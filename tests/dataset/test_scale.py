"""A million rows: streamed in little memory, split and searched in seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.dataset.duplicates import dedupe
from workbench.dataset.sources import read_source
from workbench.dataset.split import split

# The kernel's own peak of this process: what getrusage says includes the parent's before the exec.
STREAM = """
import sys
from workbench.dataset.sources import iterate, plan_source
faults = [entry for entry in iterate(plan_source(sys.argv[1])) if not hasattr(entry, "messages")]
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(faults[0], peak.split()[1], sep="|")
"""


def write_rows(path: Path, n_rows: int) -> None:
    with path.open("w") as file:
        for number in range(n_rows):
            row = {"prompt": f"question number {number}", "completion": f"answer {number}"}
            file.write(json.dumps(row) + "\n")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_fault_on_line_one_million_is_named_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_rows(path, 999_999)
    with path.open("a") as file:
        file.write('{"prompt": 1}\n')
    done = subprocess.run(
        [sys.executable, "-c", STREAM, str(path)], capture_output=True, text=True, timeout=120
    )
    said, peak_kib = done.stdout.strip().split("|")
    assert said == f"{path}:1000000: 'prompt' is a number, not a string"
    assert int(peak_kib) < 100 * 1024


@pytest.mark.slow
def test_a_hundred_thousand_rows_are_prepared(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_rows(path, 100_000)
    kept, dropped = dedupe(read_source(path).rows, "near")
    train, held = split(kept, 0.1, 42)
    assert (len(kept), len(dropped), len(train), len(held)) == (100_000, 0, 90_000, 10_000)
