"""What a data source says beyond its path and format: plain values, the same for every reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ReaderOptions:
    """How to read a source; a reader takes what concerns its format.

    `fields` maps a format's own name of a field to the name that the data give it. `schema` is the
    path of a JSON Schema, `""` for the one that ships. `placeholders` are the values of `${NAME}`.
    `suffixes` are the source files that the code format takes, `()` for all it knows. Reading
    ends after `rows` rows, if that is not 0.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    schema: str = ""
    placeholders: Mapping[str, str] = field(default_factory=dict)
    suffixes: tuple[str, ...] = ()
    structure_tokens: bool = False
    separator: str = ""
    rows: int = 0


PLAIN = ReaderOptions()
