"""A split's sequences on disk, written as they come, and taken over where an earlier run made them.

One safetensors file, as `training.examples` reads it: `ids` int32 (N,), `trained` uint8 (N,),
`offsets` int64 (sequences + 1,). Beside them `keys` uint8 (sequences, 16), a hash of the row, and
`flags` uint8 (sequences,), so that a row that is the same again need not be tokenized again.

Format: https://github.com/huggingface/safetensors#format. The header's room is kept free at the
beginning and filled in at the end (a header may end in spaces); so no split is held in memory.
"""

from __future__ import annotations

import json
import tempfile
from array import array
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from types import TracebackType

from workbench.core import files
from workbench.tokenization.encoder import RowTokens
from workbench.tokenization.sequences import TYPE
from workbench.dataset.rows import Row
from workbench.tokenization.conversations import Encoded

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

    def add(self, found: RowTokens, kept: Sequence[Encoded], key: bytes) -> None:
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
