"""Rows that are the same again are not tokenized again: an earlier run has their sequences.

The cache folder holds no tokens, only, for each way of tokenizing, where the last run with it keeps
its files. So nothing lies on the disk twice, and a run that is deleted takes its part along. A row
counts as the same by a hash of all that tokenizing looks at, and only where all of it was kept.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from workbench.core import files
from workbench.tokenization.encoder import Encoder, RowTokens
from workbench.tokenization.sequences import TYPE
from workbench.dataset.rows import Row
from workbench.tokenization.chat_template import ChatTemplate
from workbench.tokenization.conversations import Encoded
from workbench.pipeline.prepare.sequence_file__pipeline_sequences import BY_TURN, FIRST, RETOKENIZED, SPECIAL, WHOLE, row_key
from workbench.core.paths import cache_folder

WAY = 1  # another number, once rows are tokenized otherwise than by the version before


def way_of(encoder: Encoder, tokenizer: str) -> str:
    """A name for this way of tokenizing: equal names make equal sequences of equal rows.

    `tokenizer` is all of the tokenizer as text, as its tokenizer.json has it.
    """
    template = encoder.template
    facts = [
        WAY,
        hashlib.sha256(tokenizer.encode()).hexdigest(),
        encoder.tokenizer.bos_id,
        sorted(encoder.tokenizer.special_tokens),
        _told(template) if template else [],
        encoder.sequence_length,
        encoder.stop_ids,
        encoder.separator_id,
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _told(template: ChatTemplate) -> list[str]:
    """All of a template that the text of a row depends on."""
    told = [template.source, template.bos_token, template.eos_token]
    told += [template.tool_use] if template.tool_use else []
    dated = any("strftime_now" in source for source in (template.source, template.tool_use))
    return [*told, date.today().isoformat()] if dated else told


class Encodes(Protocol):
    """An `Encoder`, or several at once."""

    def encode(self, rows: Iterable[Row]) -> Iterator[RowTokens]: ...


class Earlier:
    """The sequences that the last run with this way of tokenizing keeps, if it is still there."""

    def __init__(self, way: str) -> None:
        self._note = cache_folder() / "prepared" / f"{way}.json"
        self._files: list[dict[str, np.ndarray]] = []
        self._rows: dict[bytes, tuple[int, int]] = {}  # (file, first sequence)
        for path in _noted(self._note):
            self._open(path)

    def encode(self, rows: Sequence[Row], encoder: Encodes) -> Iterator[tuple[bytes, RowTokens]]:
        """(key, tokens) of each row in order; a row that comes several times is encoded once."""
        keys = [row_key(row) for row in rows]
        times = Counter(keys)
        fresh = encoder.encode(self._unknown(keys, rows))
        again: dict[bytes, RowTokens] = {}
        for key, row in zip(keys, rows, strict=True):
            if key in self._rows:
                found = self._taken_over(key, row)
            elif key in again:
                found = again[key]
            else:
                found = next(fresh)
                if times[key] > 1:
                    again[key] = found
            yield key, _of(found, row)

    def _unknown(self, keys: Sequence[bytes], rows: Sequence[Row]) -> Iterator[Row]:
        """The rows that no earlier run has tokenized, each once."""
        asked: set[bytes] = set()
        for key, row in zip(keys, rows, strict=True):
            if key not in self._rows and key not in asked:
                asked.add(key)
                yield row

    def remember(self, paths: Sequence[Path]) -> None:
        """From now on, rows are taken over from these files."""
        self._note.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(self._note, [_stamped(path) for path in paths])

    def _open(self, path: Path) -> None:
        arrays = mapped(path)
        if arrays is None or "keys" not in arrays:
            return
        number, wanted = len(self._files), FIRST | WHOLE
        self._files.append(arrays)
        for index in np.flatnonzero((arrays["flags"] & wanted) == wanted).tolist():
            self._rows.setdefault(arrays["keys"][index].tobytes(), (number, index))

    def _taken_over(self, key: bytes, row: Row) -> RowTokens:
        number, index = self._rows[key]
        arrays = self._files[number]
        parts: list[Any] = []
        flags = int(arrays["flags"][index])
        while not parts or (index < len(arrays["flags"]) and not arrays["flags"][index] & FIRST):
            parts.append(_sequence(arrays, index, row))
            index += 1
        return RowTokens(row, parts, by_turn=bool(flags & BY_TURN))


def mapped(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of a safetensors file, mapped and not read; None for what is none of ours."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, 1 << 20)))
        kinds = {"I32": np.int32, "I64": np.int64, "U8": np.uint8}
        return {
            name: np.memmap(path, kinds[one["dtype"]], "r", 8 + length + at, tuple(one["shape"]))
            if (at := one["data_offsets"][0]) < one["data_offsets"][1]
            else np.zeros(one["shape"], kinds[one["dtype"]])
            for name, one in header.items()
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sequence(arrays: dict[str, np.ndarray], index: int, row: Row) -> Encoded:
    start, end = arrays["offsets"][index : index + 2].tolist()
    flags = int(arrays["flags"][index])
    return Encoded(
        array(TYPE, arrays["ids"][start:end].tobytes()),
        arrays["trained"][start:end].tobytes(),
        row.place,
        retokenized=bool(flags & RETOKENIZED),
        special_in_text=bool(flags & SPECIAL),
        length=end - start,
    )


def _of(found: RowTokens, row: Row) -> RowTokens:
    """The same tokens as those of another row, at its place."""
    if found.row is row:
        return found
    return RowTokens(row, [replace(part, place=row.place) for part in found.parts], found.by_turn)


def _noted(note: Path) -> Iterator[Path]:
    try:
        value = json.loads(note.read_bytes())
        yield from (Path(one["path"]) for one in value if one == _stamped(Path(one["path"])))
    except (OSError, ValueError, TypeError, KeyError):
        return


def _stamped(path: Path) -> dict[str, Any]:
    """A file with what tells whether it is still the same."""
    stat = path.stat()
    return {"path": str(path.absolute()), "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}
