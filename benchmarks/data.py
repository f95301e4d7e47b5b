"""Data sets: lint, near duplicates and preparation, beside `datasets` on the same machine.

    python -m benchmarks.data [--json FILE] [--quick] [--repeats N]

The rows are synthetic chat rows of three sizes; every measurement is a process of its own, the
repeats go round in turn, and medians are shown. Goals: lint 50,000 rows a second on one core, near
duplicates of 100,000 rows within 60 s, preparation 1.5 times the rows of the quickest that
`datasets.map` with `apply_chat_template(return_assistant_tokens_mask=True)` offers, in no more
memory. Ours reads, lints, dedupes and splits besides. Without `datasets` the peer's columns stay
empty. Times hold for a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path

from benchmarks.data_rows import TEMPLATE, write_chats, write_lookalikes
from benchmarks.figures import Figure, tell
from benchmarks.processes import Taken, measure

HERE = Path(__file__).parent
MIB = 1 << 20
SIZES = {"250 bytes": 15, "800 bytes": 80, "1,500 bytes": 160}
GOAL_LINT, GOAL_NEAR_S, GOAL_RATIO = 50_000, 60.0, 1.5

Programs = dict[str, Callable[[], tuple[dict[str, float], Taken]]]


class Bench:
    """Runs the programs of `data_programs` in turn; each prints its figures as JSON."""

    def __init__(self, folder: Path, repeats: int, quick: bool) -> None:
        self.folder, self.repeats = folder, repeats
        self.rows = 5_000 if quick else 50_000
        self.near_rows = 10_000 if quick else 100_000

    def run(self, program: str, *words: object, cores: int = 1) -> tuple[dict[str, float], Taken]:
        """What one program printed, and what it took."""
        command = [sys.executable, "-m", "benchmarks.data_programs", program, str(cores)]
        taken = measure([*command, *map(str, words)], HF_HUB_OFFLINE="1")
        if taken.status:
            raise SystemExit(f"{program}: {taken.err[-2000:]}")
        return json.loads(taken.out.splitlines()[-1]), taken

    def in_turn(self, programs: Programs) -> dict[str, dict[str, float]]:
        """Medians of every figure of each program, `peak_mb` among them."""
        found: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
        for _ in range(self.repeats):
            for name, run in programs.items():
                said, taken = run()
                found[name].append(said | {"peak_mb": taken.peak_bytes / MIB})
        return {
            name: {key: statistics.median(one[key] for one in many) for key in many[0]}
            for name, many in found.items()
        }


def lint(bench: Bench) -> list[Figure]:
    """Reading and linting together, rows a second, on one core; the peer only reads."""
    figures = []
    for size, words in SIZES.items():
        path = write_chats(bench.folder / f"{words}.jsonl", bench.rows, words)
        programs: Programs = {"ours": partial(bench.run, "lint", path)}
        if _has_peer():
            programs["peer"] = partial(bench.run, "peer_read", path)
        found = bench.in_turn(programs)
        peer = found.get("peer", {}).get("rows_per_s")
        note = "read and linted; the peer: read and gone through"
        name = f"lint, rows of {size}"
        figures.append(
            Figure(name, found["ours"]["rows_per_s"], "rows/s", "higher", GOAL_LINT, peer, note)
        )
    return figures


def near(bench: Bench) -> list[Figure]:
    """Near duplicates, seconds on one core: among rows that differ, and among made-up ones."""
    differing = write_chats(bench.folder / "near.jsonl", bench.near_rows, 80)
    alike = write_lookalikes(bench.folder / "alike.jsonl", bench.near_rows)
    figures = []
    for name, path in (("rows that differ", differing), ("rows from one pattern", alike)):
        found = bench.in_turn({"ours": partial(bench.run, "near", path)})["ours"]
        note = f"{bench.near_rows:,} rows, {found['near']:,.0f} found"
        figures.append(Figure(f"near, {name}", found["wall_s"], "s", goal=GOAL_NEAR_S, note=note))
    return figures


def prepare(bench: Bench) -> list[Figure]:
    """Rows a second from the file to tokens on disk, and peak memory; on one core and on two."""
    path = write_chats(bench.folder / "prepare.jsonl", bench.rows, 80)
    template = bench.folder / "marked.jinja"
    template.write_text(TEMPLATE)
    figures = []
    for cores in (1, 2):
        programs: Programs = {"ours": partial(bench.run, "prepare", path, template, cores=cores)}
        if cores == 1:
            programs["plain"] = partial(bench.run, "prepare_plain", path, template)
        if _has_peer():
            for way in ("map", "batched"):
                programs[way] = partial(bench.run, "peer_prepare", path, template, way, cores=cores)
        found = bench.in_turn(programs)
        ours, plain = found.pop("ours"), found.pop("plain", None)
        best = max(found.values(), key=lambda one: one["rows_per_s"], default={})
        for one in found.values():
            assert one["trained"] == ours["trained"], "both train on the same number of tokens"
        on = f"on {cores} core{'s' * (cores > 1)}"
        all_peers = ", ".join(f"{name} {one['rows_per_s']:,.0f}" for name, one in found.items())
        figures += [
            Figure(
                f"prepare {on}",
                ours["rows_per_s"],
                "rows/s",
                "higher",
                peer=best.get("rows_per_s"),
                note=all_peers,
                goal_ratio=GOAL_RATIO,
            ),
            Figure(
                f"prepare {on}, peak memory",
                ours["peak_mb"],
                "MiB",
                peer=min((one["peak_mb"] for one in found.values()), default=None),
                goal_ratio=1.0,
            ),
        ]
        if plain:
            rows_per_s, peer = plain["rows_per_s"], best.get("rows_per_s")
            name, note = f"prepare {on}, no words remembered", "every row goes to the tokenizer"
            figures.append(
                Figure(
                    name,
                    rows_per_s,
                    "rows/s",
                    "higher",
                    peer=peer,
                    note=note,
                    goal_ratio=GOAL_RATIO,
                )
            )
    again = bench.in_turn({"ours": partial(bench.run, "prepare_again", path, template)})["ours"]
    note = "the same rows in a second run, one of them changed"
    figures.append(Figure("prepare again", again["rows_per_s"], "rows/s", "higher", note=note))
    return figures


def browse(folder: Path, quick: bool) -> list[Figure]:
    """The figures of `benchmarks.data_browse`, where that is there."""
    program = HERE / "data_browse.py"
    if not program.exists():
        return []
    out = folder / "browse.json"
    words = [sys.executable, "-m", "benchmarks.data_browse", "--json", str(out)]
    taken = measure([*words, *(["--quick"] if quick else [])])
    if not out.exists():  # its status is 1 for a goal missed, too
        raise SystemExit(f"data_browse: {taken.err[-2000:]}")
    known = [field.name for field in fields(Figure)]
    rows = json.loads(out.read_bytes())
    return [Figure(**{key: row[key] for key in known if key in row}) for row in rows]


def _has_peer() -> bool:
    return importlib.util.find_spec("datasets") is not None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", metavar="FILE", default="")
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, once")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--parts", default="lint,near,prepare,browse")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), 1 if args.quick else args.repeats, args.quick)
        figures: list[Figure] = []
        for part in args.parts.split(","):
            figures += (
                browse(bench.folder, args.quick)
                if part == "browse"
                else {"lint": lint, "near": near, "prepare": prepare}[part](bench)
            )
    return tell(figures, args.json)


if __name__ == "__main__":
    sys.exit(main())
