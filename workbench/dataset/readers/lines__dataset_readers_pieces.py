"""A file in pieces of whole lines, for readers that look at many lines at a time.

A line that is longer than it may be is never held whole: its first bytes stand for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader

PIECE_BYTES = 1 << 16
HEAD_BYTES = 200


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
            begun += piece[:HEAD_BYTES]
            del begun[HEAD_BYTES:]
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
