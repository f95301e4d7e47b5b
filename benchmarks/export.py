"""Export of a Llama-shaped model in one pass, beside the way over peft and llama.cpp.

    python -m benchmarks.export [--parameters 1.24] [--rounds 2] [--llama-cpp DIR] [--json FILE]

`--parameters` in billions (1.24 is Llama-3.2-1B's shape). The peer merges with peft and saves,
which takes the whole model into memory and a second copy of it to disk; `--llama-cpp DIR`, a
checkout, adds its converter, without which the peer's time to F16 is that of the merge alone. Its
quantized files come from `llama_model_quantize`, of our F16, which has the same bytes as its own.
The model is random, bfloat16, in three shards, with a LoRA of rank 16 on every linear layer. What
is compared runs in turns; times are medians, memory and disk are the most of all rounds. Temporary
disk is what lies in the folder of the results and in that for temporary files while an export runs,
without the results and their `.part`. How memory grows with the model: `benchmarks.export_memory`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.export_disk import watched
from benchmarks.export_model import make_model, size_of
from benchmarks.export_steps import MERGED, OUT, TEMPORARY, measured, result
from benchmarks.figures import Figure, tell
from benchmarks.processes import Taken

MIB = 2**20
CONVERT = "convert"
THREE = ("f16", "q8_0", "q4_k_m")
# name -> the step and what it is given
RUNS: dict[str, tuple[str, ...]] = {
    "cp": ("copied",),
    "cp synced": ("copied", "synced"),
    "f16": ("ours", "f16"),
    "merge": ("merged",),
    CONVERT: ("converted",),
    "q8_0": ("ours", "q8_0"),
    "q4_k_m": ("ours", "q4_k_m"),
    "quantize": ("quantized", "q4_k_m"),
    "three": ("ours", *THREE),
}


@dataclass
class Found:
    """What every run of a step took, and what it laid on the disk beside results of ours."""

    taken: list[Taken] = field(default_factory=list)
    beside_bytes: int = 0


Rounds = dict[str, Found]


def rounds_of(folder: Path, rounds: int, llama_cpp: str) -> Rounds:
    """Every step `rounds` times, in turns."""
    runs = {name: step for name, step in RUNS.items() if llama_cpp or name != CONVERT}
    found: Rounds = {name: Found() for name in runs}
    for _ in range(rounds):
        for name, (step, *given) in runs.items():
            given = [llama_cpp] if name == CONVERT else given
            places = (MERGED, TEMPORARY) if step == "merged" else (OUT, TEMPORARY)
            with watched([folder / at for at in places], map(result, THREE)) as seen:
                found[name].taken.append(measured(step, folder, *given))
            found[name].beside_bytes = max(found[name].beside_bytes, seen.peak_bytes)
            print(f"  {name}: {found[name].taken[-1].wall_s:.1f} s", file=sys.stderr, flush=True)
    return found


def figures(found: Rounds) -> Iterator[Figure]:
    """Time and memory, ours and the peer's."""

    def wall_s(*names: str) -> float:
        return sum(statistics.median(t.wall_s for t in found[name].taken) for name in names)

    def peak(*names: str) -> float:
        return max(taken.peak_bytes for name in names for taken in found[name].taken) / MIB

    way = ("merge", CONVERT) if CONVERT in found else ("merge",)
    note = "peer: merge and convert" if len(way) > 1 else "peer: the merge alone, no converter"
    note += f"; ours takes {_cpu_s(found, 'f16'):.1f} s of a core"
    yield Figure("to F16", wall_s("f16"), "s", peer=wall_s(*way), goal_ratio=1.67, note=note)
    note = "peer: cp of the base, as many bytes read and written"
    yield _against("to F16 beside cp", wall_s("f16"), wall_s("cp"), 0.67, note)
    note = "peer: the same, forced to disk as ours is"
    yield _against("to F16 beside cp and fsync", wall_s("f16"), wall_s("cp synced"), 0.67, note)
    yield Figure("to F16, memory", peak("f16"), "MiB", goal=200, peer=peak(*way))
    yield Figure("to Q8_0", wall_s("q8_0"), "s")
    peer, note = wall_s(*way, "quantize"), "peer: the same, then llama_model_quantize"
    yield Figure("to Q4_K_M", wall_s("q4_k_m"), "s", peer=peer, goal_ratio=1.67, note=note)
    memory = peak(*way, "quantize")
    yield Figure("to Q4_K_M, memory", peak("q4_k_m"), "MiB", goal=250, peer=memory)
    ratio = wall_s("three") / wall_s("q4_k_m")
    cpu_ratio = _cpu_s(found, "three") / _cpu_s(found, "q4_k_m")
    note = f"{wall_s('three'):.1f} s; {cpu_ratio:.2f} x its CPU time"
    yield Figure("F16, Q8_0, Q4_K_M at once", ratio, "x Q4_K_M alone", goal=1.1, note=note)
    yield Figure("the three at once, memory", peak("three"), "MiB", goal=250)
    ours, theirs = (found[name].beside_bytes / MIB for name in ("three", "merge"))
    note = "peer: the merged model"
    name = "the three at once, temporary disk"
    yield Figure(name, ours, "MiB", goal=0, peer=theirs, note=note)


def _against(name: str, ours: float, peer: float, goal: float, note: str) -> Figure:
    return Figure(name, ours, "s", peer=peer, goal_ratio=goal, note=note)


def _cpu_s(found: Rounds, name: str) -> float:
    return statistics.median(taken.cpu_s for taken in found[name].taken)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--parameters", type=float, default=0.4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", default="")
    parser.add_argument("--llama-cpp", default="", metavar="DIR")
    given = parser.parse_args()
    size = size_of(given.parameters)
    print(f"{size.parameters / 1e9:.2f} B parameters, {size.layers} layers", flush=True)
    with tempfile.TemporaryDirectory(prefix="workbench-export-") as place:
        make_model(Path(place), size)
        found = list(figures(rounds_of(Path(place), given.rounds, given.llama_cpp)))
    return tell(found, given.json)


if __name__ == "__main__":
    sys.exit(main())
