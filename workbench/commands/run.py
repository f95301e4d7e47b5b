"""Run a preset from the command line: progress on stderr, run folder on stdout."""

from __future__ import annotations

import argparse

from workbench.console import run_session
from workbench.core.errors import EXIT_DONE, UserError
from workbench.preset import miniature
from workbench.preset.loader import LoadedPreset, load
from workbench.preset.schema import chosen
from workbench.run import folder, launch
from workbench.run.folder import RunFolder
from workbench.runner import dry_run, preflight
from workbench.runner.frozen_preset import freeze, with_absolute_paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--preset", metavar="NAME|FILE", default="", help="preset to run")
    add(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override a preset key; can be repeated",
    )
    add("--name", metavar="RUN", default="", help="name of the run folder")
    add("--stages", metavar="A,B", default="", help="run only these stages: prepare, train, ...")
    add("--miniature", action="store_true", help="rehearse on a small random model")
    add("--detach", action="store_true", help="start in the background and return")
    add("--json", action="store_true", help="print events as JSON lines on stdout")
    add("--dry-run", action="store_true", help="show all values and the plan; write nothing")


def run(args: argparse.Namespace) -> int:
    if not args.preset:
        raise UserError("--preset is missing", hint="run `workbench presets` to list the presets")
    if not args.dry_run:
        launch.refuse_other_ranks(args.detach)
    loaded = load(args.preset, args.set)
    if args.miniature:
        loaded = load(args.preset, [*miniature.overrides(loaded.preset), *args.set])
    stages = chosen(args.stages, loaded.preset)
    preflight.check(loaded, folder.runs_root(), stages)
    if args.dry_run:
        print("\n".join(dry_run.lines(loaded, stages)))
        return EXIT_DONE
    made = make_run(loaded, args.name, "-miniature" if args.miniature else "")
    if args.detach:
        return run_session.start_detached(made, stages, args.json)
    return run_session.start_and_follow(made, stages, args.json)


def make_run(loaded: LoadedPreset, name: str, ending: str = "") -> RunFolder:
    """A new run's folder with the frozen preset in it: `name`, or the preset's with `ending`."""
    with_absolute_paths(
        loaded
    )  # before the folder is made: a path that is not there leaves nothing behind
    made = folder.create(folder.runs_root(), loaded.name + ending, name)
    freeze(loaded, made)
    return made
