"""Export a run's model to more GGUF types, or convert a GGUF file to another type.

For a run, its worker exports from the base model and the adapter and compares every new file with
the trained model; existing files are kept. A FILE is quantized by llama.cpp without a comparison.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from workbench.console import run_session
from workbench.console.progress import ProgressLine
from workbench.core.errors import EXIT_DONE, EXIT_INTERRUPTED, UserError
from workbench.core.text import one_line, size, table
from workbench.inference.quantization import KINDS, GgufFileType, Progress, kind_named, quantize
from workbench.reports.run_summary import shown
from workbench.run import folder
from workbench.run.export_requests import MERGED, ExportRequest, missing
from workbench.run.folder import RunFolder
from workbench.run.state import RunState

GGUF = ".gguf"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", metavar="RUN|FILE.gguf", nargs="?", help="a run (name or folder) or a GGUF file")
    add("--type", metavar="T", action="append", default=[], help="GGUF type; can be repeated")
    add("--merged", action="store_true", help="also write the merged model as safetensors (RUN)")
    add("-o", "--output", metavar="OUT", default="", help="path of the new file (FILE)")
    add("--again", action="store_true", help="allow a FILE that is already quantized")
    add("--detach", action="store_true", help="start the worker in the background and return")
    add("--json", action="store_true", help="print the run's events as JSON lines")
    add("--types", action="store_true", help="list the GGUF types")


def run(args: argparse.Namespace) -> int:
    if args.types:
        print("\n".join(listing()))
        return EXIT_DONE
    if not args.model:
        raise UserError("no run or .gguf file given", hint="run `workbench runs` to list the runs")
    kinds = [kind_named(name) for name in args.type]
    if args.model.endswith(GGUF):
        return of_file(args, kinds)
    return of_run(args, kinds)


def listing() -> list[str]:
    """A line a type: name, bits a weight, what it is for."""
    return table([(kind.name, f"{kind.bits:4.1f} bits", kind.about) for kind in KINDS.values()])


def of_run(args: argparse.Namespace, kinds: Sequence[GgufFileType]) -> int:
    """Have the run's worker write what is not there yet."""
    if args.output or args.again:
        flag = "--output" if args.output else "--again"
        raise UserError(
            f"{flag} only applies to a .gguf file", hint="a run's files go to its export/ folder"
        )
    if not kinds and not args.merged:
        raise UserError("no --type given", hint="run `workbench export --types` to list them")
    found = folder.find(folder.runs_root(), args.model)
    wanted = ExportRequest(tuple(dict.fromkeys(kind.name for kind in kinds)), args.merged)
    request = missing(found, wanted)
    if request is None:
        print(
            f"nothing to do: {found.name} already has these files in {found.export}",
            file=sys.stderr,
        )
        return EXIT_DONE
    if args.detach:
        return run_session.start_detached(found, [request.stage], args.json)
    return run_session.start_and_follow(
        found, [request.stage], args.json, summary=files_of(request)
    )


def files_of(request: ExportRequest) -> Callable[[RunFolder, RunState], list[str]]:
    """The lines at the end: each file that was asked for, with size and parity."""

    def lines(run: RunFolder, state: RunState) -> list[str]:
        rows = []
        for name in request.types:
            made, parity = state.exported[name], state.parity.get(name)
            kept = f"KL {parity.kl_mean:.2g} nats" if parity else "not compared"
            rows.append((shown(run.path / made.path), size(made.bytes), kept))
        if request.merged:
            rows.append((shown(run.export / MERGED), "", "safetensors"))
        return table(rows, width=200)

    return lines


def of_file(args: argparse.Namespace, kinds: Sequence[GgufFileType]) -> int:
    """Quantize the file here, in a child process."""
    source, target = Path(args.model), Path(args.output)
    if len(kinds) != 1 or not args.output:
        raise UserError(
            "a FILE needs exactly one --type and an --output",
            hint="such as --type iq4_nl -o OUT.gguf",
        )
    if args.merged or args.detach or args.json:
        raise UserError("--merged, --detach and --json only apply to a run")
    check_paths(source, target)
    view = ProgressLine(sys.stderr)
    options = {"threads": os.cpu_count() or 1, "again": args.again}
    try:
        made = quantize(
            source, target, kinds[0], progress=lambda at: view.show(words(at)), **options
        )
    except KeyboardInterrupt:
        view.end()
        print("interrupted; the unfinished file was removed", file=sys.stderr)
        return EXIT_INTERRUPTED
    finally:
        view.end()
    for fallback in made.fallbacks:
        print(f"! {one_line(str(fallback), 200)}", file=sys.stderr)
    print(f"{kinds[0].name}, {size(made.bytes)}", file=sys.stderr)
    print(target)
    return EXIT_DONE


def check_paths(source: Path, target: Path) -> None:
    """Raise UserError for a file that is not there, or a place where none can be written."""
    if not source.is_file():
        raise UserError("file not found", path=source)
    if not target.name.endswith(GGUF):
        raise UserError("the output file name must end in .gguf", path=target)
    if not target.parent.is_dir():
        raise UserError("folder not found", path=target.parent)
    if target.exists() and target.samefile(source):
        raise UserError(
            "input and output are the same file", path=target, hint="choose another --output"
        )


def words(at: Progress) -> str:
    """`3 of 38 tensors  blk.0.attn_k.weight`."""
    return f"{at.done} of {at.total} tensors  {one_line(at.tensor, 50)}"
