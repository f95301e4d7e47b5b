"""Where the records of a file begin, without holding the file: three numbers for every 128 KiB.

A record is a line that is not blank or, with a `Mark`, all from one marked line to the next. Blocks
end behind a line's end, so every line lies in one block; a record is found by bisecting the blocks
and looking through one of them. One thread calls `extend`, any number ask; `len` never waits.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from workbench.dataset.browse.file_bytes import ChangedError

BLOCK_BYTES = 1 << 17
SKIP_BYTES = 1 << 20
BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\x0b\x0c"
Read = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes [start, end) of a record; `line` is the number of its first line, from 1."""

    start: int
    end: int
    line: int


@dataclass(frozen=True, slots=True)
class Mark:
    """What begins a record: a line that is `text`, or only begins with it (`open`).

    A separator may be indented, and nothing need follow it.
    """

    text: bytes
    open: bool = False
    separator: bool = False

    def positions(self, block: bytes) -> Iterator[int]:
        """Where marked lines begin in `block`, which begins with a line."""
        at = block.find(self.text)
        while at >= 0:
            start, end = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at)
            line = block[start:] if end < 0 else block[start:end]
            if (self.open or line.strip(_BLANKS) == self.text) and (self.separator or at == start):
                yield start
            at = -1 if end < 0 else block.find(self.text, end)


class Index:
    """The records of a file. Grow it with `extend` until that says False; later, again."""

    def __init__(
        self, read: Read, mark: Mark | None = None, block_bytes: int = BLOCK_BYTES
    ) -> None:
        """`read(n_bytes, offset)` gives the file's bytes, fewer at its end."""
        self.mark, self.block_bytes = mark, block_bytes
        self.at_end = False
        self._read = read
        self.end = len(BOM) if self._read(len(BOM), 0) == BOM else 0
        self.size = self.end
        # Of each block: where it begins, and the records and lines that began before it.
        self._offsets, self._lines, self._records = array("Q"), array("Q"), array("Q")
        self._n_lines = self._n_records = 0
        self._tail = 0  # records that begin in the last line, which no newline ends
        self._searched = 0  # no newline lies between `end` and here
        self._starts = lru_cache(8)(self._starts_in)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Records that are known whole."""
        if self.at_end:
            return self._n_records + self._tail
        return max(0, self._n_records - 1) if self.mark else self._n_records

    def extend(self) -> bool:
        """Take in one more block; False at the end of what the file holds now."""
        block = self._read(self.block_bytes, self.end)
        n_bytes = block.rfind(b"\n") + 1
        n_lines = block.count(b"\n")
        if not n_lines and len(block) == self.block_bytes:
            n_bytes = self._long_line(len(block))
            n_lines = int(n_bytes > 0)
            block = self._whole(block, self.end, self.end + n_bytes if n_lines else self._searched)
        beginning = block[:n_bytes] if n_lines else block
        count = self._count(beginning, n_lines)
        with self._lock:
            self._add(n_bytes, n_lines, count) if n_lines else self._close(block, count)
        return n_lines > 0

    def span(self, number: int) -> Span:
        """Where record `number`, from 0, lies. Raises ChangedError when the file lost it."""
        with self._lock:
            start, line = self._start(number)
            if number + 1 < self._n_records + self._tail:
                return Span(start, self._start(number + 1)[0], line)
            return Span(start, self.size, line)

    def number_at(self, line: int) -> int:
        """The record that line `line`, from 1, belongs to; a blank line's is the next one."""
        with self._lock:
            if line > self._n_lines or not self._offsets:
                return max(0, len(self) - 1)
            block = bisect_right(self._lines, line - 1) - 1
            lines = [found for _, found in self._starts(block)]
            if self.mark:
                return max(0, self._records[block] + bisect_right(lines, line) - 1)
            return self._records[block] + bisect_left(lines, line)

    def _add(self, n_bytes: int, n_lines: int, count: int) -> None:
        """A block whose lines are all ended."""
        self._offsets.append(self.end)
        self._lines.append(self._n_lines)
        self._records.append(self._n_records)
        self.end += n_bytes
        self.size, self.at_end, self._tail = self.end, False, 0
        self._n_lines += n_lines
        self._n_records += count

    def _close(self, tail: bytes, count: int) -> None:
        """The file ends here for now, with a line that may still grow."""
        self.size = max(self.end + len(tail), self._searched)
        self._tail = count
        self._tail -= self._ends_with_separator()
        self.at_end = True

    def _count(self, block: bytes, n_lines: int) -> int:
        if self.mark:
            return sum(1 for _ in self._marked(block, self._n_records == 0))
        if n_lines and block.count(b"\n{") + block.startswith(b"{") == n_lines:
            return n_lines  # lines of JSON, as nearly always: counted without being cut
        return sum(1 for _ in _written(block))

    def _long_line(self, known_bytes: int) -> int:
        """Bytes of a line longer than a block, its end included; 0 when it has none yet."""
        at = max(self._searched, self.end + known_bytes)
        while more := self._read(SKIP_BYTES, at):
            n_bytes = more.find(b"\n") + 1
            if n_bytes:
                return at + n_bytes - self.end
            at += len(more)
        self._searched = at
        return 0

    def _whole(self, block: bytes, offset: int, end: int) -> bytes:
        """With the rest of a line longer than a block, where that decides whether it is a mark."""
        rest = end - offset - len(block)
        if self.mark and rest > 0 and block.strip(_BLANKS) == self.mark.text:
            block += self._read(min(rest, SKIP_BYTES), offset + len(block))
        return block

    def _ends_with_separator(self) -> bool:
        """Whether nothing stands behind the last separator: that is no record."""
        count = self._n_records + self._tail
        if not (self.mark and self.mark.separator and count > 1):
            return False
        at = self._start(count - 1)[0]
        written, wanted = 0, _n_written(self.mark.text)
        while written <= wanted and at < self.size:
            block = self._read(min(self.block_bytes, self.size - at), at)
            written += _n_written(block)
            at += max(1, len(block))
        return written == wanted

    def _start(self, number: int) -> tuple[int, int]:
        """(offset, line) where a record begins."""
        if number >= self._n_records:
            return self.end, self._n_lines + 1
        block = bisect_right(self._records, number) - 1
        starts = self._starts(block)
        try:
            return starts[number - self._records[block]]
        except IndexError:
            self._starts.cache_clear()
            raise ChangedError from None

    def _starts_in(self, block: int) -> list[tuple[int, int]]:
        """(offset, line) of every record that begins in a block."""
        offset, line = self._offsets[block], self._lines[block] + 1
        last = block + 1 == len(self._offsets)
        n_bytes = (self.end if last else self._offsets[block + 1]) - offset
        raw = self._read(min(n_bytes, self.block_bytes), offset)
        raw = self._whole(raw, offset, offset + n_bytes)
        places = self._marked(raw, self._records[block] == 0) if self.mark else _written(raw)
        found = []
        counted = 0
        for place in places:
            line += raw.count(b"\n", counted, place)
            counted = place
            found.append((offset + place, line))
        return found

    def _marked(self, block: bytes, is_first: bool) -> Iterator[int]:
        """Where records begin; the first of the file begins with whatever is written there."""
        assert self.mark is not None
        places = self.mark.positions(block)
        if not is_first:
            yield from places
            return
        written = next(_written(block), None)
        if written is not None:
            yield written
            yield from (place for place in places if place > written)


def _n_written(block: bytes) -> int:
    """Bytes that are not blank."""
    return len(block.translate(None, _BLANKS + b"\n"))


def _written(block: bytes) -> Iterator[int]:
    """Where the lines that are not blank begin."""
    start = 0
    while start < len(block):
        end = block.find(b"\n", start) + 1 or len(block)
        line = block[start:end]
        if not line.isspace():
            yield start
        start = end
