"""Training beside transformers' `Trainer` and TRL's `SFTTrainer`: speed, memory, the same loss.

    python -m benchmarks.training [--json FILE] [--scale 0.5] [--layers N] [--rows N] [--cores N]
        [--repeats N] [--shapes A,B] [--cases varied,fixed] [--programs A,B] [--kept FILE]

Two shapes with random weights: head-heavy as Gemma 3 270M, and as Qwen2.5 0.5B. Chat rows of varied
length, and as a control rows of one length, where neither sorting nor packing can gain anything.
Every program is given the same rows in each step, about eight, so that the losses can be compared;
only TRL grouped by length keeps an order of its own, and no loss of it is judged. Every training is
a process of its own; the repeats go round in turn and medians are shown. Goals on varied rows: 2
times the tokens a second of Trainer, 3 times SFTTrainer as it comes, 2 times the quickest of its
settings; no more than 0.7 times the memory of each; a loss within 0.01. On fixed rows: no slower.
The gradients must be those over all logits, bit for bit.

`--kept FILE` appends every measurement as a line of JSON, and takes those that are there already
into the medians: a long comparison can be made in short runs. TRL's rows are left out where it is
not installed (`pip install trl`, or the extra `bench`). `--gpu` measures what needs a GPU instead.
Times hold for a machine that does nothing else; where it does more, the ratio by CPU time in the
notes, with `--cores 1`, is what can be believed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import training_gpu
from benchmarks.figures import Figure, tell
from benchmarks.processes import measure
from benchmarks.training_bases import (
    SHAPES,
    Shape,
    chat_rows,
    make_base,
    save_settings,
    told,
    write_rows,
)

MIB, CORES = 1 << 20, 2
LIMIT_S = 1800.0
MEAN, LONGEST, FIXED, BATCH_ROWS = 192, 512, 256, 8
RANK, LEARNING_RATE = 16, 2e-4
VALIDATION_ROWS = 16
CASES = ("varied", "fixed")
FASTER = {"trainer": 2.0, "trl": 3.0}
BEST = ("trl-grouped", "trl-packed", "trl-packed-bf16")
PROGRAMS = ("ours", "trainer", "trl", *BEST)
OWN_ORDER = ("trl-grouped",)
GOAL_BEST, GOAL_MEMORY, GOAL_LOSS = 2.0, 1 / 0.7, 0.01

Measured = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One shape on one kind of rows. `name` says both, and how much was reduced."""

    shape_name: str
    rows_name: str
    layers: int
    scale: float
    rows: int

    @property
    def shape(self) -> Shape:
        return SHAPES[self.shape_name].reduced(self.layers, self.scale)

    @property
    def name(self) -> str:
        reduced = f" x{self.scale:g}" if self.scale != 1 else ""
        reduced += f" {self.layers} layers" if self.layers else ""
        return f"{self.shape_name}{reduced}, {self.rows_name}"

    def prepare(self, folder: Path, base: Path) -> None:
        """Rows and settings beside a link to the base."""
        (folder / "base").symlink_to(base)
        fixed, vocabulary = self.rows_name == "fixed", self.shape.vocabulary
        mean = FIXED if fixed else MEAN
        for split, count, seed in (("train", self.rows, 1), ("validation", VALIDATION_ROWS, 2)):
            rows = chat_rows(count, vocabulary, seed=seed, mean=mean, longest=LONGEST, fixed=fixed)
            write_rows(folder / f"{split}.safetensors", rows)
            if split == "train":
                tokens = sum(len(row.ids) for row in rows)
        steps = -(-self.rows // BATCH_ROWS)
        save_settings(
            folder,
            step_tokens=-(-tokens // steps),
            batch_rows=BATCH_ROWS,
            longest=LONGEST,
            rank=RANK,
            learning_rate=LEARNING_RATE,
            device="cpu",
            dtype="float32",
            quantization="none",
        )


class Bench:
    """Runs the programs, and keeps what they told."""

    def __init__(self, kept: str, cores: int) -> None:
        self._cores = cores
        self._kept = Path(kept) if kept else None
        self.found: list[Measured] = []
        if self._kept and self._kept.exists():
            self.found = [json.loads(line) for line in self._kept.read_text().splitlines()]

    def run(self, case: Case, program: str, folder: Path) -> None:
        """One program of one case, in a process of its own."""
        command = [sys.executable, "-m", "benchmarks.training_programs", program, str(folder)]
        environment = {"OMP_NUM_THREADS": str(self._cores), "HF_HUB_OFFLINE": "1"}
        taken = measure(command, LIMIT_S, **environment)
        if taken.status:
            raise SystemExit(f"{program}: {taken.err[-2000:]}")
        said = json.loads(taken.out.splitlines()[-1])
        if not said:
            return
        one = {"case": case.name, "program": program, "peak_mib": taken.peak_bytes / MIB, **said}
        self.found.append(one)
        print(_line(one), file=sys.stderr, flush=True)
        if self._kept:
            with self._kept.open("a") as file:
                file.write(json.dumps(one) + "\n")

    def medians(self, case: Case) -> dict[str, dict[str, float]]:
        """Program -> the medians of its figures; `tokens_per_s` among them."""
        medians: dict[str, dict[str, float]] = {}
        for program in dict.fromkeys(one["program"] for one in self.found):
            runs = [o for o in self.found if (o["case"], o["program"]) == (case.name, program)]
            if runs:
                keys = [key for key in runs[0] if key not in ("case", "program")]
                medians[program] = {
                    key: statistics.median(run[key] for run in runs) for key in keys
                }
                medians[program]["repeats"] = len(runs)
        return medians


def _line(one: Measured) -> str:
    figures = ", ".join(
        f"{key} {value:,.4g}" for key, value in one.items() if key not in ("case", "program")
    )
    return f"  {one['case']}: {one['program']}: {figures}"


def figures(case: Case, found: dict[str, dict[str, float]]) -> Iterator[Figure]:
    """Of one case: speed and memory beside each peer, and how far the losses lie apart."""
    if "ours" not in found:
        return
    ours = found["ours"]
    best = max(
        (name for name in found if name in BEST),
        key=lambda name: found[name]["tokens_per_s"],
        default="",
    )
    compared = {name: FASTER[name] for name in FASTER if name in found}
    compared |= {best: GOAL_BEST} if best else {}
    for name, goal in compared.items():
        peer = found[name]
        by_cpu = ours["tokens_per_cpu_s"] / peer["tokens_per_cpu_s"]
        note = (
            f"median of {ours['repeats']:.0f} and {peer['repeats']:.0f}; {by_cpu:.2f}x by CPU time"
        )
        note += "; its quickest settings here" if name == best else ""
        wanted = goal if case.rows_name == "varied" else 1.0
        yield Figure(
            f"{case.name}: speed, {name}",
            ours["tokens_per_s"],
            "tokens/s",
            "higher",
            peer=peer["tokens_per_s"],
            note=note,
            goal_ratio=wanted,
        )
        yield Figure(
            f"{case.name}: memory, {name}",
            ours["peak_mib"],
            "MiB",
            peer=peer["peak_mib"],
            note="peak resident",
            goal_ratio=GOAL_MEMORY if case.rows_name == "varied" else None,
        )
    alike = [name for name in found if name not in ("ours", "adapter", *OWN_ORDER)]
    apart = {name: abs(found[name]["loss"] - ours["loss"]) for name in alike}
    if apart:
        furthest = max(apart, key=lambda name: apart[name])
        note = f"ours {ours['loss']:.4f}, from {ours['first_loss']:.3f}"
        note += f"; furthest of {len(apart)}: {furthest}"
        yield Figure(
            f"{case.name}: loss, difference", apart[furthest], "nats", goal=GOAL_LOSS, note=note
        )


def exactness(case: Case, folder: Path) -> Figure:
    """How many of the adapter's gradients differ from those over all logits."""
    command = [sys.executable, "-m", "benchmarks.training_programs", "gradients", str(folder)]
    taken = measure(command, LIMIT_S, OMP_NUM_THREADS=str(CORES), HF_HUB_OFFLINE="1")
    if taken.status:
        raise SystemExit(f"gradients: {taken.err[-2000:]}")
    said = json.loads(taken.out.splitlines()[-1])
    note = (
        f"of {said['tensors']:,}; head at {said['selected']:,} of {said['positions']:,} positions"
    )
    note += f"; largest difference {said['largest']:.1e}" if said["differing"] else ""
    return Figure(f"{case.name}: gradients that differ", said["differing"], "", goal=0, note=note)


def measured(options: argparse.Namespace, bench: Bench) -> Iterator[Figure]:
    """All that was asked for, shape after shape."""
    for shape_name in options.shapes.split(","):
        with tempfile.TemporaryDirectory(prefix="workbench-training-") as place:
            whole, base = SHAPES[shape_name], Path(place) / "base"
            shape = whole.reduced(options.layers, options.scale)
            make_base(base, shape)
            print(f"{shape_name}: {told(shape, whole)}", flush=True)
            cases = [
                Case(shape_name, rows, options.layers, options.scale, options.rows)
                for rows in options.cases.split(",")
            ]
            for case in cases:
                folder = Path(place) / case.rows_name
                folder.mkdir()
                case.prepare(folder, base)
                bench.run(case, "adapter", folder)
                for _ in range(options.repeats):
                    for program in programs(options.programs):
                        bench.run(case, program, folder)
                yield from figures(case, bench.medians(case))
            if not options.no_gradients:
                yield exactness(cases[0], Path(place) / cases[0].rows_name)


def programs(wanted: str) -> Sequence[str]:
    """Those asked for, TRL's only where it can be imported."""
    names = wanted.split(",")
    if importlib.util.find_spec("trl") is None and any(name.startswith("trl") for name in names):
        print("TRL is not installed: its rows are left out", flush=True)
        names = [name for name in names if not name.startswith("trl")]
    return names


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", default="", metavar="FILE")
    parser.add_argument("--kept", default="", metavar="FILE")
    parser.add_argument("--shapes", default="gemma-270m,qwen-0.5b")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--programs", default=",".join(PROGRAMS))
    parser.add_argument("--layers", type=int, default=0)
    parser.add_argument("--scale", type=float, default=0.5)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cores", type=int, default=CORES)
    parser.add_argument("--no-gradients", action="store_true")
    training_gpu.add_arguments(parser)
    options = parser.parse_args()
    source = (
        training_gpu.measured(options)
        if options.gpu
        else measured(options, Bench(options.kept, options.cores))
    )
    found = list(source)
    return tell(found, options.json)


if __name__ == "__main__":
    sys.exit(main())
