"""Every preset of the five projects, as a miniature, from its data to its Modelfile and report.

    python -m benchmarks.miniatures [--json FILE] [PRESET ...]

Each is `workbench --preset NAME --miniature --json` in a folder of its own; the table is read off
the events. The goal is that each ends well with every stage done, all within 15 minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, save
from workbench.core.text import size, table

PRESETS = (
    "blop-gemma-2b",
    "blop-deepseek-coder-v2-lite",
    "bbj-qwen2.5-coder-7b",
    "reasoning-topics-qwen",
    "dolly-gemma",
    "speakger-gemma3-270m",
)
LIMIT_S = 15 * 60.0
HEAD = ("preset", "rows", "stages and steps", "loss", "files", "KL at most", "prompts", "s")


@dataclass(frozen=True)
class Ended:
    """One miniature's end: its exit status, seconds, and all events."""

    preset: str
    status: int
    elapsed_s: float
    events: list[dict[str, Any]]
    said: str

    @property
    def undone(self) -> int:
        """How many of the planned stages are not done."""
        planned: list[str] = next((e["stages"] for e in self.of("run_started")), [])
        return len(set(planned) - {e["stage"] for e in self.of("stage_done")})

    @property
    def whole(self) -> bool:
        """Whether it ended well, with every stage that was planned."""
        return self.status == 0 and self.undone == 0

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]

    def row(self) -> tuple[str, ...]:
        """The table's row: what the run made of the preset."""
        steps = self.of("step")
        stages = {e["stage"]: e["step"] for e in steps}
        files = [f"{e['type']} {size(e['bytes'])}" for e in self.of("file_exported")]
        prompts = [e["figures"].get("prompts", 0) for e in self.of("evaluated")]
        return (
            self.preset,
            " + ".join(str(e["train_rows"]) for e in self.of("data_ready")),
            ", ".join(f"{name.partition(':')[2]} {step}" for name, step in stages.items()),
            f"{steps[0]['loss']:.2f} → {steps[-1]['loss']:.2f}" if steps else "",
            ", ".join(files),
            f"{max((e['kl_max'] for e in self.of('parity_measured')), default=0):.1e}",
            str(max(prompts, default=0)),
            f"{self.elapsed_s:.0f}",
        )


def main() -> int:
    """Run them, print the table; 1 when one of them did not end well or all took too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("presets", nargs="*", default=PRESETS)
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ended = [miniature(name, Path(folder)) for name in args.presets]
    print("\n".join(table([HEAD, *(one.row() for one in ended)])))
    bad = [one for one in ended if not one.whole]
    for one in bad:
        print(f"\n{one.preset}: exit status {one.status}\n{one.said}", file=sys.stderr)
    found = measured(ended)
    if args.json:
        save(args.json, found)
    return 0 if all(figure.met for figure in found) and not bad else 1


def miniature(preset: str, folder: Path) -> Ended:
    """Run one to its end."""
    command = [sys.executable, "-m", "workbench", "--preset", preset, "--miniature", "--json"]
    environment = {**os.environ, "WORKBENCH_RUNS": str(folder)}
    started = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    events = [json.loads(line) for line in lines]
    said = "\n".join(done.stderr.splitlines()[-5:])
    return Ended(preset, done.returncode, time.monotonic() - started, events, said)


def measured(ended: list[Ended]) -> list[Figure]:
    """The stages that each left undone, and the seconds of all together."""
    left = [Figure(f"miniature {one.preset}", one.undone, "stages undone", goal=0) for one in ended]
    return [*left, Figure("all miniatures", sum(e.elapsed_s for e in ended), "s", goal=LIMIT_S)]


if __name__ == "__main__":
    sys.exit(main())
