"""Gzip and Zstandard around any line format: told by their first bytes, unpacked as they are read.

A few bytes may stand for gigabytes. What is unpacked is bounded by what was read of the packed file
(`MAX_RATIO` times, once it is beyond `FREE_BYTES`), and a zstd window by 128 MiB, so a bomb ends as
a fault after seconds and in little memory.
"""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Protocol

MAX_RATIO = 200
FREE_BYTES = 64 << 20
MAX_WINDOW_LOG = 27  # 128 MiB, what the zstd program allows without being asked
SUFFIXES = (".gz", ".zst", ".zstd")
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def packed_as(head: bytes) -> str:
    """`gzip`, `zstd` or `""`, by the first bytes of a file."""
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "")


def plain_suffix(path: Path) -> str:
    """The suffix of the name without that of the packing, in small letters: `.jsonl`."""
    name = Path(path.stem) if path.suffix.lower() in SUFFIXES else path
    return name.suffix.lower()


def unpacked(file: io.BufferedReader) -> io.BufferedReader:
    """`file`, at its beginning, as it reads unpacked; itself where it is not packed.

    Broken data, a bomb and a missing library raise OSError with the reason, at once or on reading.
    """
    name = packed_as(file.read(4))
    file.seek(0)
    if not name:
        return file
    stream: _Readable = gzip.GzipFile(fileobj=file) if name == "gzip" else _zstd(file)
    return io.BufferedReader(_Bounded(file, stream, name), 1 << 18)


class _Bounded(io.RawIOBase):
    """The unpacked bytes, as many as the packed ones warrant."""

    def __init__(self, packed: BinaryIO, stream: _Readable, name: str) -> None:
        self._packed, self._stream, self._name = packed, stream, name
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except EOFError:
            raise OSError(f"the {self._name} data is truncated") from None
        except _broken_data() as error:
            raise OSError(f"the {self._name} data is corrupt: {error}") from None
        self._given += len(data)
        if self._given > max(FREE_BYTES, MAX_RATIO * self._packed.tell()):
            raise OSError(f"it expands to over {MAX_RATIO} times its size; decompress it yourself")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._packed.close()
        super().close()


def _zstd(file: BinaryIO) -> _Readable:
    if sys.version_info >= (3, 14):
        from compression import zstd

        limit = {zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG}
        return zstd.ZstdFile(file, options=limit)
    try:
        import zstandard
    except ImportError:
        raise OSError("zstd needs a library: pip install 'workbench[data]'") from None
    reader = zstandard.ZstdDecompressor(max_window_size=1 << MAX_WINDOW_LOG)
    return reader.stream_reader(file, read_across_frames=True, closefd=False)


def _broken_data() -> tuple[type[Exception], ...]:
    """What the libraries raise for broken data, those that are loaded."""
    found = (("zstandard", "ZstdError"), ("compression.zstd", "ZstdError"))
    classes = (getattr(sys.modules.get(module), name, None) for module, name in found)
    return (OSError, zlib.error, *(error for error in classes if error is not None))
