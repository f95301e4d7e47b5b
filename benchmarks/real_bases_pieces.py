"""SentencePiece models: reads their pieces, and writes one for the reference converter.

The format is a protocol buffer (sentencepiece_model.proto): field 1 repeated, a piece with its text
(1), score (2, float) and type (3); field 2 the trainer, whose field 3 is the kind of model, 2 for
BPE, and field 35 whether bytes stand in for unknown characters; field 3 the normalizer.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)  # types, as in GGUF
_VARINT, _LENGTH, _FIXED32 = 0, 2, 5
_BPE = 2


@dataclass(frozen=True)
class Piece:
    """A token's text, how readily it is merged (higher first), and its type."""

    text: str
    score: float
    type: int = NORMAL


def read_pieces(data: bytes) -> list[Piece]:
    """The pieces of a SentencePiece model, by id."""
    return [_piece(value) for field, value in _fields(data) if field == 1]


def write_pieces(pieces: Iterable[Piece], *, add_dummy_prefix: bool) -> bytes:
    """A SentencePiece model of BPE with these pieces, which changes nothing in a text.

    `add_dummy_prefix`: whether a space goes before a text.
    """
    written = b"".join(
        _bytes(
            1,
            _bytes(1, piece.text.encode())
            + _key(2, _FIXED32)
            + struct.pack("<f", piece.score)
            + _number(3, piece.type),
        )
        for piece in pieces
    )
    trainer = _number(3, _BPE) + _number(35, 1)
    normalizer = _bytes(1, b"identity") + _number(3, add_dummy_prefix) + _number(4, 0)
    return written + _bytes(2, trainer) + _bytes(3, normalizer + _number(5, 1))


def _piece(data: bytes) -> Piece:
    text, score, kind = "", 0.0, NORMAL
    for field, value in _fields(data):
        if field == 1:
            text = bytes(value).decode()
        elif field == 2:
            (score,) = struct.unpack("<f", value)
        elif field == 3:
            kind = int.from_bytes(value, "little")
    return Piece(text, score, kind)


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(field, value) of a message; numbers as little-endian bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            number, at = _varint(data, at)
            yield key >> 3, number.to_bytes(8, "little")
            continue
        size = {_FIXED32: 4, 1: 8}.get(kind)
        if size is None:
            size, at = _varint(data, at)
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _key(field: int, kind: int) -> bytes:
    return _encoded(field << 3 | kind)


def _number(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + _encoded(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _key(field, _LENGTH) + _encoded(len(value)) + value


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
