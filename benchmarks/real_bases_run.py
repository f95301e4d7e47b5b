"""Takes a base through workbench itself: a preset, a run from data to Modelfile, a turn of chat.

Ten steps of LoRA teach a random model to answer "Yes" and to stop: enough to see that what was
trained is what the files answer, and that they stop where it did.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROMPT, ANSWER = "Say yes to {}.", "Yes"
THINGS = "rain snow tea coffee bread milk wind salt paper glass wood iron gold silver copper stone"
MORE_THINGS = "sand clay wool silk"
TYPES = ("f16", "q8_0", "q4_k_m")
STEPS = 10
TIMEOUT_S = 900.0
TIMED_OUT = 124  # the exit status by which timeout(1) says so

PRESET = """
[model]
base = "{base}"
device = "cpu"
dtype = "float32"

[data]
validation = 0.2

[[data.source]]
path = "{rows}"

[[train]]
name = "sft"
sequence_length = 256
max_steps = {steps}
batch_size = 8
packing = false
learning_rate = 1e-2
schedule = "constant"
warmup = 0
evaluate_every = 0
save_every = 0

[train.adapter]
kind = "lora"
rank = 16
alpha = 16
dropout = 0.0
targets = "all-linear"

[watch]
prompts = []
general = false
trackers = []

[export]
formats = {types}
merged = true

[generate]
temperature = 0
repeat_penalty = 1.0
max_tokens = 24
context = 1024

[evaluate]
prompts = "validation"
baselines = []
perplexity = false

[ollama]
name = "real-base"
"""


@dataclass(frozen=True)
class Ran:
    """The end of a run: exit status, its folder, all events, the last lines it wrote as errors."""

    status: int
    folder: Path
    events: list[dict[str, Any]]
    said: str

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]

    @property
    def undone(self) -> list[str]:
        """The planned stages that are not done."""
        planned: list[str] = next((e["stages"] for e in self.of("run_started")), [])
        done = {e["stage"] for e in self.of("stage_done")}
        return [stage for stage in planned if stage not in done]

    @property
    def warnings(self) -> list[str]:
        """What the run warned of, once each."""
        told = [e["message"] for e in self.of("note") if e["level"] == "warning"]
        return list(dict.fromkeys(told))

    @property
    def merged(self) -> Path:
        return self.folder / "export" / "merged"

    @property
    def adapter(self) -> Path:
        """The folder of the trained adapter."""
        return next(iter(sorted(self.folder.rglob("adapter_model.safetensors")))).parent

    @property
    def tokenizer(self) -> Path:
        """The folder that training saved beside the adapter, for the export."""
        return self.folder / "tokenizer"

    def gguf(self, kind: str) -> Path:
        """The exported file of that type."""
        paths = {e["type"]: e["path"] for e in self.of("file_exported")}
        return self.folder / str(paths[kind])


def run_workbench(base: Path, work: Path) -> Ran:
    """Run the preset for `base` with everything it writes in `work`."""
    rows = work / "rows.jsonl"
    rows.write_text("".join(_row(thing) for thing in f"{THINGS} {MORE_THINGS}".split()))
    preset = work / "real-base.toml"
    types = json.dumps(TYPES)
    preset.write_text(PRESET.format(base=base, rows=rows, steps=STEPS, types=types))
    try:
        done = _workbench(work, "--preset", str(preset), "--json")
    except subprocess.TimeoutExpired:  # the worker goes on by itself
        _workbench(work, "stop", preset.stem)
        return Ran(TIMED_OUT, work / "runs" / "none", [], f"not done after {TIMEOUT_S:.0f} s")
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    said = "\n".join(done.stderr.splitlines()[-5:])
    folders = sorted((work / "runs").glob("*/events.jsonl"))
    folder = folders[0].parent if folders else work / "runs" / "none"
    return Ran(done.returncode, folder, [json.loads(line) for line in lines], said)


def one_turn(ran: Ran, work: Path) -> str:
    """What `workbench chat` answers to a prompt of the data's kind."""
    done = _workbench(work, "chat", str(ran.folder), "--prompt", PROMPT.format("sand"))
    if done.returncode:
        return f"exit status {done.returncode}: {done.stderr.strip()[-300:]}"
    return done.stdout.strip()


def _workbench(work: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"WORKBENCH_RUNS": str(work / "runs")}
    environment |= {name: str(work / "state") for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME")}
    return subprocess.run(
        [sys.executable, "-m", "workbench", *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def _row(thing: str) -> str:
    turns = {"user": PROMPT.format(thing), "assistant": ANSWER}
    messages = [{"role": role, "content": content} for role, content in turns.items()]
    return json.dumps({"messages": messages}) + "\n"
