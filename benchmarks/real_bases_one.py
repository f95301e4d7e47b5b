"""One base from its facts to its findings, in a process of its own.

    python -m benchmarks.real_bases_one NAME CACHE WORK OUT [--cores N,N] [--reference] [--keep]

llama.cpp ends the process on some bad files; the other bases then go on. OUT gets JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.real_bases_checks import faults_of_run, kl_of, stops_in_transformers
from benchmarks.real_bases_folder import build, facts_of
from benchmarks.real_bases_ids import LEAST, compare_ids
from benchmarks.real_bases_listed import unlisted
from benchmarks.real_bases_reference import compare_with_reference
from benchmarks.real_bases_run import ANSWER, TYPES, Ran, one_turn, run_workbench
from benchmarks.real_bases_sources import Sources
from benchmarks.real_bases_tokenizers import Facts, RealTokenizer

SHOWN = 3
THOUGHT = "</think>"


@dataclass
class Findings:
    """What came of one base. `faults`: check -> what is wrong, only those that failed.

    `listed`: differences that have a reason; `measured`: the cells of the table.
    """

    name: str
    of: str
    origin: str = ""
    measured: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    listed: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    elapsed_s: float = 0.0
    cpu_s: dict[str, float] = field(default_factory=dict)  # by what took them, children included

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Count the CPU seconds of what is done meanwhile."""
        before = sum(os.times()[:4])
        yield
        self.cpu_s[what] = round(sum(os.times()[:4]) - before, 1)

    def judge(self, check: str, fault: str) -> None:
        """Enter a check's outcome: "" is a pass."""
        if fault:
            self.faults[check] = fault


def examine(facts: Facts, sources: Sources, work: Path, reference: bool) -> Findings:
    """Build the base, run workbench on it, check what it made."""
    started = time.monotonic()
    found = Findings(facts["name"], facts["of"])
    with found.timed("build"):
        tokenizer = build(facts, sources, work / "base")
    found.origin = tokenizer.origin
    with found.timed("run"):
        ran = run_workbench(work / "base", work)
    for check, fault in faults_of_run(ran).items():
        found.judge(check, fault)
    found.warnings = ran.warnings
    if "run" not in found.faults:
        _check_files(found, tokenizer, sources, ran, work)
        if reference:
            with found.timed("reference"):
                _check_reference(found, facts, tokenizer, sources, ran, work)
    found.elapsed_s = time.monotonic() - started
    return found


def _check_files(
    found: Findings, tokenizer: RealTokenizer, sources: Sources, ran: Ran, work: Path
) -> None:
    found.measured |= {f"KL {kind}": f"{kl_of(ran, kind):.1e}" for kind in TYPES}
    with found.timed("ids"):
        _check_ids(found, tokenizer, sources, ran, work)
    with found.timed("stop"):
        try:
            found.judge("stop", found.faults.get("stop", "") or stops_in_transformers(ran))
        except Exception as error:  # any failure of transformers on our merged folder is a finding
            found.judge("stop", f"transformers: {type(error).__name__}: {str(error)[:200]}")
    with found.timed("chat"):
        said = one_turn(ran, work)
    words = said.rpartition(THOUGHT)[2].split()  # some templates put an empty one before answers
    found.judge("chat", "" if set(words) == {ANSWER} else f"answered {said!r}")


def _check_ids(
    found: Findings, tokenizer: RealTokenizer, sources: Sources, ran: Ran, work: Path
) -> None:
    published = work / "base" / "tokenizer.json"
    ids = compare_ids(published, tokenizer.backend, ran.gguf("f16"), sources)
    same = ids.texts - sum(ids.explained.values()) - len(ids.others)
    found.measured["ids"] = f"{same}/{ids.texts}"
    found.listed += [f"{count} texts: {why}" for why, count in ids.explained.items()]
    if ids.texts < LEAST:
        found.judge("ids", f"{ids.texts} texts, wanted {LEAST}")
    if ids.others:
        shown = ", ".join(ids.others[:SHOWN])
        found.judge("ids", f"{len(ids.others)} texts differ without a reason, first {shown}")


def _check_reference(
    found: Findings,
    facts: Facts,
    tokenizer: RealTokenizer,
    sources: Sources,
    ran: Ran,
    work: Path,
) -> None:
    compared = compare_with_reference(ran, work / "base", facts, tokenizer, sources, work)
    found.judge("merged", "; ".join(compared.merged[:SHOWN]))
    if compared.failed:
        found.measured["tensors"] = "no reference"
        found.judge("reference", compared.failed)
        return
    total = compared.same + len(compared.others)
    found.measured["tensors"] = f"{compared.same}/{total}"
    keys, listed = unlisted(facts, compared.keys)
    found.listed += listed
    found.judge("tensors", "; ".join(compared.others[:SHOWN]))
    found.judge("keys", "; ".join(f"{key}: {said}" for key, said in keys.items()))


def main() -> int:
    """Examine one base, write what was found."""
    options = argparse.ArgumentParser()
    for name in ("name", "cache", "work", "out"):
        options.add_argument(name)
    options.add_argument("--cores", default="")
    options.add_argument("--reference", action="store_true")
    options.add_argument("--keep", action="store_true")
    args = options.parse_args()
    if args.cores:
        os.sched_setaffinity(0, map(int, args.cores.split(",")))
    folder = Path(args.work)
    facts = facts_of([args.name])[0]
    found = examine(facts, Sources(Path(args.cache)), folder, args.reference)
    Path(args.out).write_text(json.dumps(asdict(found)), encoding="utf-8")
    if not args.keep:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
