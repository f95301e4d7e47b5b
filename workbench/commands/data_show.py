"""`workbench data PATH --preset NAME --show N`: a row's tokens, and which of them are learnt."""

from __future__ import annotations

import argparse
import json
import os
import sys

from workbench.core.errors import EXIT_DONE, UserError


def run(args: argparse.Namespace) -> int:
    """Print row `args.show` as the preset `args.preset` sees it."""
    from workbench.commands.data_preset__commands_data_set import source_options, split_keys
    from workbench.dataset.browse.record_library__dataset_browse_nth import nth
    from workbench.dataset.browse.record_library__dataset_browse_request import Source
    from workbench.commands import data_show__lens_printing
    from workbench.runner.preview import lens_of

    if not (args.path and args.preset):
        raise UserError(
            "--show needs PATH and --preset NAME", hint="tokenization depends on the model"
        )
    if args.show < 1:
        raise UserError(f"--show {args.show}: rows are numbered from 1")
    of_source, of_preset = split_keys(args.set, args.preset)
    source = Source(args.path, args.format, options=source_options(of_source))
    row = nth(source, args.show)
    lens = lens_of(args.preset, of_preset)
    try:
        shown = lens.look(row)
    except UserError as error:
        place, hint = row.place, error.hint
        raise UserError(error.message, path=place.path, line=place.line, hint=hint) from None
    if args.json:
        print(json.dumps(data_show__lens_printing.to_json(row, shown, lens.preset), indent=2))
    else:
        print("\n".join(data_show__lens_printing.lines(row, shown, lens.preset, _colour())))
    return EXIT_DONE


def _colour() -> bool:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") in (None, "", "dumb")
    return sys.stdout.isatty() and not plain
