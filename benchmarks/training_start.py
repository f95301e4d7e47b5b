"""From a command to the first step of training, beside loading the same model with transformers.

    python -m benchmarks.training_start [--json FILE] [--scale 1] [--layers N] [--repeats 3]

A base in the shape of Qwen2.5 0.5B with random weights and a few short rows lie on the disk. Ours
is `workbench --preset FILE --json`: a worker started, rows read, looked through and tokenized, the
model loaded, an adapter laid on. The peer only imports torch and transformers and loads the
weights. Goal: no more than 1.2 times as long, until the first pass over rows of the data begins.
That pass trains nothing yet: it measures the memory of the largest batch. The first optimizer step
begins after it, which is the second figure, with the same goal. Both find the files in the system's
cache. What is watched (`[watch]`: a general text, answers to prompts) is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure, tell
from benchmarks.training_bases import SHAPES, make_base, told

GOAL = 1 / 1.2  # as a ratio of the peer's time to ours
PRESET = """
[model]
base = "BASE"
device = "cpu"

[[data.source]]
path = "ROWS"

[[train]]
sequence_length = 128
batch_tokens = 128
max_steps = 2

[watch]
prompts = []
general = false
"""
PEER = """
import sys, time
import torch
from transformers import AutoModelForCausalLM
AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
"""


def ours(folder: Path) -> dict[str, float]:
    """Seconds from the command to the first step's start, and to what comes before it."""
    with tempfile.TemporaryDirectory(dir=folder) as runs:
        environment = os.environ | {"WORKBENCH_RUNS": runs, "XDG_CACHE_HOME": runs}
        command = [sys.executable, "-m", "workbench", "--preset", str(folder / "start.toml")]
        began = time.time()
        process = subprocess.Popen(
            [*command, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        try:
            return _first_step(process, began)
        finally:
            process.terminate()
            process.communicate()


def _first_step(process: subprocess.Popen[str], began: float) -> dict[str, float]:
    """The moments of the events on the way. Raises SystemExit when there is no step."""
    moments: dict[str, float] = {}
    assert process.stdout is not None
    for line in process.stdout:
        if not line.startswith("{"):
            continue
        event = json.loads(line)
        moments.setdefault(event["kind"], time.time() - began)
        if event["kind"] == "step":
            moments["first_step"] = moments.pop("step") - event["elapsed_s"]
            return moments
    raise SystemExit(f"no step was trained: {process.communicate()[1][-2000:]}")


def peer(folder: Path) -> float:
    """Seconds that importing and loading take."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", PEER, str(folder / "base")], check=True, capture_output=True
    )
    return time.perf_counter() - began


def prepare(folder: Path, layers: int, scale: float) -> str:
    """Base, rows and preset in `folder`; what the base is."""
    from tests import tiny

    whole = SHAPES["qwen-0.5b"]
    shape = whole.reduced(layers, scale)
    make_base(folder / "base", shape)
    tiny.tokenizer().save_pretrained(folder / "base")
    turns = [{"role": "user", "content": "How much?"}, {"role": "assistant", "content": "Two."}]
    row = json.dumps({"messages": turns})
    rows = [row.replace("Two", f"{n} and {n + 1}") for n in range(20)]
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n")
    preset = PRESET.replace("BASE", str(folder / "base")).replace(
        "ROWS", str(folder / "rows.jsonl")
    )
    (folder / "start.toml").write_text(preset)
    return told(shape, whole)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", default="", metavar="FILE")
    parser.add_argument("--layers", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="workbench-start-") as place:
        folder = Path(place)
        print(f"qwen-0.5b: {prepare(folder, options.layers, options.scale)}", flush=True)
        own, theirs = list[dict[str, float]](), list[float]()
        for _ in range(options.repeats):
            theirs.append(peer(folder))
            own.append(ours(folder))
    middle = {key: statistics.median(one[key] for one in own) for key in own[0]}
    ways = {
        "training_planned": "from the command to the first pass over rows",
        "first_step": "the same, and the memory of the largest batch measured",
    }
    found = [
        Figure(
            name,
            middle[moment],
            "s",
            peer=statistics.median(theirs),
            goal_ratio=GOAL,
            note=", ".join(f"{key} {value:.1f}" for key, value in middle.items()),
        )
        for moment, name in ways.items()
    ]
    return tell(found, options.json)


if __name__ == "__main__":
    sys.exit(main())
