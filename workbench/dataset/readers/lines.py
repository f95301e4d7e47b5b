"""Lines of an untrusted file: safe to open, decoded, bounded in length, never all in memory.

A FIFO or device is refused without blocking. Each line comes with its number; a line that is not
UTF-8, holds a NUL or exceeds the bounds is a fault with its place, and reading continues. Gzip and
zstd files are decompressed first; lines count in their content.

Readers that look at many lines at once get chunks of whole lines. An overlong line is never held
whole: its first bytes stand for it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from workbench.core.text import size
from workbench.dataset.readers.compression import unpacked
from workbench.dataset.rows import Fault, Place

PIECE_BYTES = 1 << 16
SNIFFED_LINE_BYTES = 200


def pieces(file: BufferedReader, max_line_bytes: int) -> Iterator[tuple[bytes, bool]]:
    """(lines with their ends, whether they are whole); else the head of one line too long.

    What is packed is read in no larger steps than its buffer, so that what stands before broken
    data still comes. Raises OSError as the file does.
    """
    begun, too_long = bytearray(), False  # the line whose end was not seen yet
    while piece := file.read1(min(PIECE_BYTES, max_line_bytes)):
        end = piece.find(b"\n") + 1
        too_long = too_long or len(begun) + (end or len(piece)) > max_line_bytes
        if too_long:
            begun += piece[:SNIFFED_LINE_BYTES]
            del begun[SNIFFED_LINE_BYTES:]
        if not end:
            begun += b"" if too_long else piece
            continue
        if too_long:
            yield bytes(begun), False
            whole, too_long = piece[end:], False
        else:
            whole = bytes(begun) + piece if begun else piece
        cut = whole.rfind(b"\n") + 1
        if cut:
            yield whole[:cut], True
        begun = bytearray(whole[cut:])
    if begun:
        yield bytes(begun), not too_long


MAX_LINE_BYTES = 16 << 20
MAX_FAULTS = 1000
HEAD_BYTES = 64 << 10
BOM = "\ufeff"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
_SAVE_UTF8 = "save the file as UTF-8"


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end; `number` counts from 1."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines that follow each other, without their ends; `number` is the first one's, from 1."""

    number: int
    texts: list[str]


def open_regular(path: Path) -> BufferedReader | Fault:
    """The file opened for reading, or the fault that keeps it shut. Never blocks."""
    place = Place(str(path), 0)
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return Fault(place, "missing", "file not found", "check the path")
    except (OSError, ValueError) as error:
        return Fault(place, "unreadable", f"cannot be read: {_reason(error)}")
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        return Fault(place, "not-a-file", f"is {_kind(mode)}", "give a file")
    return os.fdopen(fd, "rb")


def read_lines(path: Path, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Line | Fault]:
    """Every line of `path`, or the fault in its place."""
    for entry in read_many(path, max_line_bytes):
        if isinstance(entry, Fault):
            yield entry
        else:
            yield from (Line(number, text) for number, text in enumerate(entry.texts, entry.number))


def read_many(path: Path, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Lines | Fault]:
    """Every line of `path`, many at a time, or the fault in the place of one."""
    file = open_unpacked(path)
    if isinstance(file, Fault):
        yield file
        return
    with file:
        yield from _decoded(path, file, max_line_bytes)


def open_unpacked(path: Path) -> BufferedReader | Fault:
    """As `open_regular`; what is packed reads as what it holds, and raises OSError where broken."""
    file = open_regular(path)
    if isinstance(file, Fault):
        return file
    try:
        return unpacked(file)
    except OSError as error:
        file.close()
        return _unreadable(path, 0, error)


def read_head(path: Path) -> str | Fault:
    """The first 64 KiB as text, undecodable bytes replaced; the fault where there is none."""
    file = open_unpacked(path)
    if isinstance(file, Fault):
        return file
    with file:
        try:
            head = file.read(HEAD_BYTES)
        except OSError as error:
            return _unreadable(path, 0, error)
    bare = head.removeprefix(BOM.encode())
    if not bare.strip():
        what = "the file contains only whitespace" if bare else "the file is empty"
        return Fault(Place(str(path), 1), "empty", what)
    wide = _wide(path, head)
    return wide or head.decode("utf-8", "replace").removeprefix(BOM)


def _decoded(path: Path, file: BufferedReader, max_line_bytes: int) -> Iterator[Lines | Fault]:
    number, crlf = 1, 0
    found = pieces(file, max_line_bytes)
    while True:
        try:
            piece, whole = next(found, (b"", True))
        except OSError as error:
            yield _unreadable(path, number, error)
            return
        if not piece:
            break
        if number == 1:
            if wide := _wide(path, piece[: piece.find(b"\n") + 1 or None]):
                yield wide
                return
            if whole and piece.startswith(BOM.encode()):
                piece = piece[3:]
                yield _note(path, 1, "bom", "byte order mark at the start, ignored")
        if not whole:
            yield _too_long(path, number, max_line_bytes)
            number += 1
            continue
        if b"\r" in piece and b"\r\n" in piece:
            crlf = crlf or number + piece.count(b"\n", 0, piece.index(b"\r\n"))
            piece = piece.replace(b"\r\n", b"\n")
        for entry in _lines(path, number, piece.removesuffix(b"\n")):
            yield entry
            number += len(entry.texts) if isinstance(entry, Lines) else 1
    if crlf:
        yield _note(path, crlf, "crlf", "Windows line endings, read as plain newlines")


def _lines(path: Path, number: int, piece: bytes) -> Iterator[Lines | Fault]:
    """The lines of a piece: all at once, where none of them is at fault."""
    text = _text(piece)
    if text is not None and "\0" not in text and BOM not in text:
        yield Lines(number, _split(text))
        return
    for at, raw in enumerate(piece.split(b"\n"), number):
        yield _decode(path, at, raw)


def _split(text: str) -> list[str]:
    """As `text.split("\\n")`, which looks at each character of a long line for itself."""
    found, at = [], 0
    while (end := text.find("\n", at)) >= 0:
        found.append(text[at:end])
        at = end + 1
    found.append(text[at:])
    return found


def _text(piece: bytes) -> str | None:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return None


def _decode(path: Path, number: int, raw: bytes) -> Lines | Fault:
    place = Place(str(path), number)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        what = f"not UTF-8: byte 0x{raw[error.start]:02x} at byte {error.start + 1} of the line"
        return Fault(place, "not-utf8", what, _SAVE_UTF8)
    if "\0" in text:
        return Fault(place, "nul", f"NUL character at column {text.index(chr(0)) + 1}", "remove it")
    if BOM in text and text.startswith(BOM):
        hint = "remove it; it comes from joining files"
        return Fault(place, "bom-inside", "byte order mark inside the file", hint)
    return Lines(number, [text])


def _wide(path: Path, head: bytes) -> Fault | None:
    """The fault of a file in UTF-16 or UTF-32, with its mark or betrayed by its NULs."""
    sample = head[:200]
    zeros = sample.count(0)
    if head[:2] in _WIDE_BOMS or (len(sample) >= 4 and zeros * 10 >= len(sample) * 4):
        name = "UTF-32" if zeros * 10 > len(sample) * 6 else "UTF-16"
        return Fault(Place(str(path), 1), "not-utf8", f"the file is {name}, not UTF-8", _SAVE_UTF8)
    return None


def _too_long(path: Path, number: int, limit: int) -> Fault:
    what = f"the line is longer than {size(limit)}"
    return Fault(Place(str(path), number), "line-too-long", what, "split the row")


def _unreadable(path: Path, number: int, error: OSError) -> Fault:
    return Fault(Place(str(path), number), "unreadable", f"cannot be read: {_reason(error)}")


def _note(path: Path, number: int, code: str, message: str) -> Fault:
    return Fault(Place(str(path), number), code, message, fatal=False)


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a pipe" if stat.S_ISFIFO(mode) else "not a regular file"


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
