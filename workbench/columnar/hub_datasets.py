"""Data sets of the Hugging Face hub, streamed: only what is read is fetched.

    hub:OWNER/NAME   hub:OWNER/NAME:SPLIT   hub:OWNER/NAME@REVISION:SUBSET:SPLIT

A folder may stand for OWNER/NAME (`hub:./clone`): a clone of the data set's repository. No code of
a data set is run: the library takes none since its version 4.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

HUB = "hub:"
SPLIT = "train"


class HubTrouble(Exception):
    """A data set that is not to be had."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.hint = code, hint


def read_hub(place: str) -> Iterator[dict[str, Any]]:
    """The columns of a data set, then its records; see the room's `__main__`."""
    import datasets

    datasets.disable_progress_bars()
    rows = _opened(place)
    first = True
    for number, value in enumerate(rows, 1):
        if first:
            yield {"columns": list(value), "left_out": []}
            first = False
        yield {"number": number, "value": value}
    if first:
        raise HubTrouble("empty", "the split has no rows")


def parts_of(place: str) -> tuple[str, str | None, str | None, str]:
    """(name, revision, subset, split) of `hub:NAME@REVISION:SUBSET:SPLIT`."""
    whole, *rest = place.removeprefix(HUB).split(":")
    name, _, revision = whole.partition("@")
    split = rest[-1] if rest else SPLIT
    return name, revision or None, rest[0] if len(rest) > 1 else None, split


def _opened(place: str) -> Any:
    import datasets
    from datasets.exceptions import DatasetNotFoundError

    name, revision, subset, split = parts_of(place)
    if name[:1] in "./" and not os.path.isdir(name):
        raise HubTrouble("missing", "folder not found", "check the path")
    try:
        found = datasets.load_dataset(
            name, subset, split=split, revision=revision, streaming=True, token=None
        )
        return _without_bytes(found)
    except (DatasetNotFoundError, FileNotFoundError):
        hint = "check the name; for a gated dataset, accept its terms and run `hf auth login`"
        raise HubTrouble("missing", "dataset not found, or no access", hint) from None
    except ConnectionError:
        raise HubTrouble("unreadable", "cannot reach the Hub", "try again later") from None
    except ValueError as error:
        said = " ".join(str(error).split())[:300]
        raise HubTrouble("missing", said, "use hub:OWNER/NAME:SUBSET:SPLIT") from None


def _without_bytes(rows: Any) -> Any:
    """The data set with its images and sounds as they are stored, not decoded."""
    features = rows.features or {}
    media = [name for name, kind in features.items() if hasattr(kind, "decode_example")]
    return rows.remove_columns(media) if media else rows
