"""Parquet and Arrow files, a few rows at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

BATCH_ROWS = 16
PARQUET = b"PAR1"


class FileTrouble(Exception):
    """A file that cannot be read."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.hint = code, hint


def read_file(path: str) -> Iterator[dict[str, Any]]:
    """The columns of a file, then its records; see the room's `__main__`. Raises FileTrouble."""
    import pyarrow

    try:
        schema, batches = _opened(path)
        names = _readable(schema)
        left_out = [name for name in schema.names if name not in names]
        yield {"columns": names, "left_out": left_out}
        yield from _records(batches, names)
    except pyarrow.ArrowInvalid as error:
        said = " ".join(str(error).split())[:200]
        raise FileTrouble("broken-file", f"the file is corrupt: {said}") from None


def _opened(path: str) -> tuple[Any, Iterable[Any]]:
    """The schema, and the record batches that are still to be read."""
    import pyarrow
    from pyarrow import ipc, parquet

    with open(path, "rb") as file:
        magic = file.read(4)
    if magic == PARQUET:
        opened = parquet.ParquetFile(path)
        schema = opened.schema_arrow
        readable = _readable(schema)
        return schema, opened.iter_batches(BATCH_ROWS, columns=readable, use_threads=False)
    source = pyarrow.OSFile(path)
    try:
        reader = ipc.open_file(source)
        return reader.schema, (reader.get_batch(n) for n in range(reader.num_record_batches))
    except pyarrow.ArrowInvalid:
        source.seek(0)
        stream = ipc.open_stream(source)
        return stream.schema, stream


def _readable(schema: Any) -> list[str]:
    """The columns that hold no bytes. Raises FileTrouble where two are called the same."""
    name, count = Counter(schema.names).most_common(1)[0] if schema.names else ("", 0)
    if count > 1:
        raise FileTrouble(
            "duplicate-key", f"the column '{name[:40]}' appears twice", "rename one of them"
        )
    return [field.name for field in schema if not _has_bytes(field.type)]


def _has_bytes(kind: Any) -> bool:
    from pyarrow import types

    binary = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    if any(test(kind) for test in binary):
        return True
    return any(_has_bytes(kind.field(n).type) for n in range(kind.num_fields))


def _records(batches: Iterable[Any], names: list[str]) -> Iterator[dict[str, Any]]:
    number = 0
    for whole in batches:
        whole.validate(full=False)
        for start in range(0, whole.num_rows, BATCH_ROWS):
            batch = whole.select(names).slice(start, BATCH_ROWS)
            for record in _rows(batch):
                number += 1
                yield {"number": number, **record}


def _rows(batch: Any) -> Iterator[dict[str, Any]]:
    """`{"value": record}`, or what is wrong with it."""
    try:
        yield from ({"value": value} for value in batch.to_pylist())
    except UnicodeDecodeError:
        for at in range(batch.num_rows):
            try:
                yield {"value": batch.slice(at, 1).to_pylist()[0]}
            except UnicodeDecodeError:
                yield {"code": "not-utf8", "message": "text that is not UTF-8", "hint": ""}
