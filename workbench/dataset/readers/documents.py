"""Documents: records whose `text` (or `content`) is raw text, with facts about it beside.

    speaker,party,year,topic,content
    Ada Meier,Blue,1998,Roads,"Madam President, ..."

The fields are found by their usual names, English or German, in any case. With `structure_tokens`
the facts stand before the text as `<SPEAKER>Ada Meier</SPEAKER><PARTY>Blue</PARTY>`, so that a
model can be asked for a speech of a certain kind; with a `separator` each text ends in that line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from workbench.dataset.reader_options import ReaderOptions
from workbench.dataset.readers.fields import label_field, named, row_facts, text_field
from workbench.dataset.readers.strict_json import Refused
from workbench.dataset.rows import Place, Row

FORMAT = "documents"
# The field, and the names that it goes by.
TEXT = ("text", "content", "speech", "body", "document", "rede", "inhalt")
FACTS = {
    "speaker": ("speaker", "name", "author", "redner", "sprecher"),
    "party": ("party", "faction", "partei", "fraktion"),
    "year": ("year", "date", "jahr", "datum"),
    "topic": ("topic", "subject", "title", "thema", "titel"),
}
KEYS = (*TEXT, *(name for names in FACTS.values() for name in names))
_YEAR = re.compile(r"(?<!\d)(\d{4})(?!\d)")


def fits(keys: Collection[str]) -> str:
    """Which keys make a record one of this format, `""` when it is none."""
    found = _spelt(dict.fromkeys(keys))
    names = (TEXT, *FACTS.values())
    known = [next((found[n] for n in group if n in found), None) for group in names]
    return named([key for key in known if key]) if known[0] else ""


def row(place: Place, value: dict[str, Any], options: ReaderOptions) -> Row:
    """The row of one record. Raises Refused."""
    spelt = _spelt(value)
    text = text_field(value, _the_text(spelt)).strip("\n")
    labels = tuple((name, fact) for name in FACTS if (fact := _fact(name, value, spelt)))
    if options.structure_tokens and labels:
        marks = "".join(f"<{n.upper()}>{fact}</{n.upper()}>" for n, fact in labels)
        text = f"{marks}\n{text}"
    ending = f"\n{options.separator}\n" if options.separator else "\n"
    return Row(place, text=text + ending, labels=labels, **row_facts(value))


def _spelt(value: Mapping[str, Any]) -> dict[str, str]:
    """The names in small letters, each with the key as the record spells it."""
    return {key.casefold(): key for key in value}


def _the_text(spelt: Mapping[str, str]) -> str:
    found = [spelt[name] for name in TEXT if name in spelt]
    if len(found) > 1 and "text" not in spelt:
        hint = f'choose one: [data.source.fields] text = "{found[0]}"'
        raise Refused("two-texts", f"{named(found)} could each be the text", hint)
    return found[0] if found else "text"


def _fact(name: str, value: Mapping[str, Any], spelt: Mapping[str, str]) -> str:
    key = next((spelt[known] for known in FACTS[name] if known in spelt), "")
    fact = label_field(value, key) if key else ""
    year = _YEAR.search(fact) if name == "year" else None
    return year[1] if year else fact
