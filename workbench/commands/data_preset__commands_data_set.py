"""What `workbench data --set` says: of the source that is looked at, or of the preset it is for.

A key that begins with a section of the preset (`evaluate.checker`) is the preset's, as in
`workbench --preset`; every other one is a key of `[[data.source]]`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from workbench.dataset.reader_options import PLAIN, Options
from workbench.core.errors import UserError


def split_keys(given: Sequence[str], preset: str | None) -> tuple[list[str], list[str]]:
    """(keys of the source, keys of the preset). Raises UserError for the latter without one."""
    from workbench.preset.schema import Preset

    source: list[str] = []
    of_preset: list[str] = []
    for key in given:
        section = re.split(r"[.=\[]", key, maxsplit=1)[0].strip()
        (of_preset if section in Preset.model_fields else source).append(key)
    if of_preset and not preset:
        raise UserError(f"--set {of_preset[0]}: this is a preset key", hint="add --preset NAME")
    return source, of_preset


def source_options(keys: Sequence[str]) -> Options:
    """The source's options with those keys set. Raises UserErrors."""
    if not keys:
        return PLAIN
    from workbench.preset.loader import parse

    text = '[[data.source]]\npath = "."\n[[train]]\n'
    loaded = parse(text, Path("."), [f"data.source.0.{key}" for key in keys])
    return Options(**loaded.preset.data.source[0].options())
