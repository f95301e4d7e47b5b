"""The token sequences of a split on disk, and their reuse by later runs.

A split is one safetensors file, as `training.token_dataset` reads it: `ids` int32 (N,), `trained`
uint8 (N,), `offsets` int64 (sequences + 1,); and for the reuse `keys` uint8 (sequences, 16), a hash
of the row, and `flags` uint8 (sequences,).
Format: https://github.com/huggingface/safetensors#format. Space for the header is reserved at the
beginning and filled at the end (a header may end in spaces), so that no split is held in memory.

The cache folder holds no tokens. For each way of encoding it only names the files of the last run
that used it, so nothing is on the disk twice, and a deleted run takes its part along. Rows are
equal by a hash of everything that encoding reads; a row is reused only if all of it was kept.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from workbench.core import files
from workbench.core.paths import cache_folder
from workbench.dataset.rows import Row
from workbench.tokenization.chat_template import ChatTemplate
from workbench.tokenization.encoder import Encoder
from workbench.tokenization.sequences import TYPE, EncodedRow, TrainingSequence

HEADER_BYTES = 1024
KEY_BYTES = 16
FLUSH_TOKENS = 1 << 18
FIRST, WHOLE, RETOKENIZED, SPECIAL, BY_TURN = 1, 2, 4, 8, 16


def row_key(row: Row) -> bytes:
    """A hash of all that tokenizing looks at."""
    digest = blake2b(digest_size=KEY_BYTES)
    for message in row.messages:
        said = message.to_json() if message.reasoning or message.tool_calls else message.content
        told = said if isinstance(said, str) else json.dumps(said, sort_keys=True)
        more = f"\x1f{message.name}\x1f{message.tool_call_id}"
        digest.update(
            f"{message.role}\x1f{message.train}{more}\x1f{len(told)}\x1f{told}\x1e".encode(
                "utf-8", "surrogatepass"
            )
        )
    if row.tools:
        digest.update(json.dumps(row.tools, sort_keys=True).encode())
    digest.update(row.text.encode("utf-8", "surrogatepass"))
    return digest.digest()


class SequenceWriter:
    """Context manager that writes one file, whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._ids, self._trained = array(TYPE), bytearray()
        self._offsets = array("q", [0])
        self._keys, self._flags = bytearray(), bytearray()

    def __enter__(self) -> SequenceWriter:
        self._file = open(self._part, "wb", buffering=0)  # noqa: SIM115
        self._spill = tempfile.TemporaryFile(dir=self._path.parent)
        files.write_all(self._file.fileno(), bytes(HEADER_BYTES))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        with self._file, self._spill:
            if kind is None:
                self._finish()
        if kind is None:
            files.fsync_file(self._part)
            files.rename(self._part, self._path)
            files.fsync_folder(self._path.parent)
        else:
            self._part.unlink(missing_ok=True)

    def add(self, found: EncodedRow, kept: Sequence[TrainingSequence], key: bytes) -> None:
        """Append the sequences of a row that are kept."""
        whole = len(kept) == len(found.parts) and not any(entry.cut for entry in kept)
        for number, entry in enumerate(kept):
            self._ids += entry.ids
            self._trained += entry.trained
            self._offsets.append(self._offsets[-1] + len(entry.ids))
            self._keys += key
            flags = (FIRST if number == 0 else 0) | (WHOLE if whole else 0)
            flags |= RETOKENIZED if entry.retokenized else 0
            flags |= SPECIAL if entry.special_in_text else 0
            self._flags.append(flags | (BY_TURN if found.by_turn else 0))
        if len(self._ids) >= FLUSH_TOKENS:
            self._flush()

    def _flush(self) -> None:
        files.write_all(self._file.fileno(), self._ids.tobytes())
        files.write_all(self._spill.fileno(), bytes(self._trained))
        self._ids, self._trained = array(TYPE), bytearray()

    def _finish(self) -> None:
        self._flush()
        tokens, sequences = self._offsets[-1], len(self._flags)
        self._spill.seek(0)
        while chunk := self._spill.read(files.CHUNK_BYTES):
            files.write_all(self._file.fileno(), chunk)
        rest = (self._offsets.tobytes(), bytes(self._keys), bytes(self._flags))
        files.write_all(self._file.fileno(), b"".join(rest))
        self._file.seek(0)
        files.write_all(self._file.fileno(), _header(tokens, sequences))


def _header(tokens: int, sequences: int) -> bytes:
    shapes = {
        "ids": ("I32", [tokens], 4 * tokens),
        "trained": ("U8", [tokens], tokens),
        "offsets": ("I64", [sequences + 1], 8 * (sequences + 1)),
        "keys": ("U8", [sequences, KEY_BYTES], KEY_BYTES * sequences),
        "flags": ("U8", [sequences], sequences),
    }
    at, header = 0, {}
    for name, (dtype, shape, n_bytes) in shapes.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + n_bytes]}
        at += n_bytes
    text = json.dumps(header).encode().ljust(HEADER_BYTES - 8)
    assert len(text) == HEADER_BYTES - 8, "five tensors always fit"
    return len(text).to_bytes(8, "little") + text


WAY = 1  # another number, once rows are tokenized otherwise than by the version before


def encoding_key(encoder: Encoder, tokenizer: str) -> str:
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
        encoder.encode_rows.__name__,
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _told(template: ChatTemplate) -> list[str]:
    """All of a template that the text of a row depends on."""
    told = [template.source, template.bos_token, template.eos_token]
    told += [template.tool_use] if template.tool_use else []
    dated = any("strftime_now" in source for source in (template.source, template.tool_use))
    return [*told, date.today().isoformat()] if dated else told


class RowEncoder(Protocol):
    """An `Encoder`, or several at once."""

    def encode(self, rows: Iterable[Row]) -> Iterator[EncodedRow]: ...


class SequenceCache:
    """The sequences that the last run with this way of tokenizing keeps, if it is still there."""

    def __init__(self, way: str) -> None:
        self._note = cache_folder() / "prepared" / f"{way}.json"
        self._files: list[dict[str, np.ndarray]] = []
        self._rows: dict[bytes, tuple[int, int]] = {}  # (file, first sequence)
        for path in _noted(self._note):
            self._open(path)

    def encode(
        self, rows: Sequence[Row], encoder: RowEncoder
    ) -> Iterator[tuple[bytes, EncodedRow]]:
        """(key, tokens) of each row in order; a row that comes several times is encoded once."""
        keys = [row_key(row) for row in rows]
        times = Counter(keys)
        fresh = encoder.encode(self._unknown(keys, rows))
        again: dict[bytes, EncodedRow] = {}
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

    def _taken_over(self, key: bytes, row: Row) -> EncodedRow:
        number, index = self._rows[key]
        arrays = self._files[number]
        parts: list[Any] = []
        flags = int(arrays["flags"][index])
        while not parts or (index < len(arrays["flags"]) and not arrays["flags"][index] & FIRST):
            parts.append(_sequence(arrays, index, row))
            index += 1
        return EncodedRow(row, parts, by_turn=bool(flags & BY_TURN))


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


def _sequence(arrays: dict[str, np.ndarray], index: int, row: Row) -> TrainingSequence:
    start, end = arrays["offsets"][index : index + 2].tolist()
    flags = int(arrays["flags"][index])
    return TrainingSequence(
        array(TYPE, arrays["ids"][start:end].tobytes()),
        arrays["trained"][start:end].tobytes(),
        row.place,
        retokenized=bool(flags & RETOKENIZED),
        special_in_text=bool(flags & SPECIAL),
        length=end - start,
    )


def _of(found: EncodedRow, row: Row) -> EncodedRow:
    """The same tokens as those of another row, at its place."""
    if found.row is row:
        return found
    return EncodedRow(row, [replace(part, place=row.place) for part in found.parts], found.by_turn)


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
