"""One file's records, each read when it is asked for, by the very reader that training uses.

A stretch of a file between two records is itself a file of that format: it is copied, with a
prologue that says what the format takes from its beginning, and read as a file. So no reader knows
of this, and what is shown here is what will be trained on. Formats that cannot be cut so, and
packed files, are not read here: `cut` says which can.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from pathlib import Path

from workbench.dataset.browse.file_bytes import ChangedError, RawFile
from workbench.dataset.browse.record_index import BOM, Index, Mark, Span
from workbench.dataset.formats import READERS, RecordFormat
from workbench.dataset.reader_options import PLAIN, ReaderOptions
from workbench.dataset.readers import plain_text
from workbench.dataset.readers.compression import packed_as
from workbench.dataset.readers.lines import HEAD_BYTES, MAX_LINE_BYTES
from workbench.dataset.readers.records import kind_of
from workbench.dataset.readers.text_pairs import INPUT_OUTPUT, TASK_CODE, PairStyle
from workbench.dataset.rows import Fault, Place, Row
from workbench.dataset.sources import ReadPlan, iterate

STYLES = {style.FORMAT: style for style in (INPUT_OUTPUT, TASK_CODE)}
MAX_TEXT_BYTES = 1 << 20
NEAR_BYTES = 1 << 18
Entry = Row | Fault


@dataclass(frozen=True, slots=True)
class Cut:
    """How a file falls into records: its mark, None for lines, and what goes before a record."""

    mark: Mark | None
    prologue: bytes
    max_bytes: int


def cut(file: RawFile, format: str, options: ReaderOptions = PLAIN) -> Cut | None:
    """None for a file whose records only reading from its beginning can tell."""
    head = file.read(HEAD_BYTES, 0).removeprefix(BOM)
    if packed_as(head):
        return None
    if isinstance(READERS[format], RecordFormat):
        lines = kind_of(file.path) == "JSON" and re.match(rb"\s*\{(?!\s*\n)", head)
        return Cut(None, b"{}\n", MAX_LINE_BYTES + 1) if lines else None
    if format in STYLES:
        return _cut_blocks(head.decode("utf-8", "replace"), STYLES[format])
    if format == plain_text.FORMAT:
        separator = (options.separator.strip() or plain_text.SEPARATOR).encode()
        return Cut(Mark(separator, separator=True), b"", MAX_TEXT_BYTES)
    return None


def _cut_blocks(head: str, style: PairStyle) -> Cut | None:
    """By the first header of its kind; None where `head` does not spell both."""
    spelt: dict[str, str] = {}
    for line in head.split("\n")[:-1]:
        if found := style.found(line.removesuffix("\r")):
            spelt.setdefault(found[0], found[1])
    if len(spelt) < 2:
        return None
    ask, answer = spelt[style.ask], spelt[style.answer]
    mark = Mark(ask.encode(), open=style.found(f"{ask} more") is not None)
    return Cut(mark, f"{ask}\n-\n{answer}\n-\n".encode(), MAX_LINE_BYTES)


class Records:
    """`len` grows while `extend` is called; `entry` may be asked from another thread meanwhile."""

    def __init__(
        self, plan: ReadPlan, file: RawFile, cut: Cut, answers: bool, folder: Path
    ) -> None:
        """`folder` is where a record can be copied to; it may be the same for many files."""
        self.path, self.cut, self.answers = file.path, cut, answers
        self.file, self.index = file, Index(file.read, cut.mark)
        self._copy = folder / f"record{file.path.suffix}"
        (_, format, why), *_ = (entry for entry in plan.files if entry[0] == file.path)
        self._plan = replace(plan, files=((self._copy, format, why),), faults=())

    def __len__(self) -> int:
        return len(self.index)

    def extend(self) -> bool:
        """Index a little more; False at the end of what the file holds now."""
        more = self.index.extend()
        if not more:
            self.file.remember(self.index.size)
        return more

    def entry(self, number: int) -> Entry:
        """The row at `number`, from 0, or what keeps it from being one."""
        return self.entries(number, 1)[0]

    def entries(self, number: int, count: int) -> list[Entry]:
        """The entry at `number` and those behind it: `count` of them, fewer where rows are long."""
        try:
            spans = self._near(number, min(count, len(self) - number))
            prologue = self.cut.prologue if number else b""
            self._copy.write_bytes(prologue + self._raw(spans))
        except ChangedError:
            what = "the file changed while it was being read"
            return [Fault(Place(str(self.path), 0), "changed", what)]
        places = [Place(str(self.path), span.line) for span in spans]
        found: list[Entry] = [_nothing(place) for place in places]
        lines = [place.line for place in places]
        shift = lines[0] - 1 - prologue.count(b"\n")
        for entry in iterate(self._plan, answers=self.answers):
            place = Place(str(self.path), entry.place.line + shift)
            at = bisect_right(lines, place.line) - 1
            if at >= 0:
                found[at] = _weightier(found[at], replace(entry, place=place))
        return found

    def left_out(self, number: int) -> int:
        """Bytes at the end of a record that `entry` does not look at."""
        span = self.index.span(number)
        return max(0, span.end - span.start - self.cut.max_bytes)

    def _near(self, number: int, count: int) -> list[Span]:
        """Where the record lies, and those behind it that are read along."""
        spans = [self.index.span(number)]
        for other in range(number + 1, number + count):
            span = self.index.span(other)
            if span.end - spans[0].start > NEAR_BYTES:
                break
            spans.append(span)
        return spans

    def _raw(self, spans: list[Span]) -> bytes:
        n_bytes = spans[-1].end - spans[0].start
        wanted = min(n_bytes, self.cut.max_bytes)
        raw = self.file.read(wanted, spans[0].start)
        if len(raw) < wanted:
            raise ChangedError
        return raw if wanted == n_bytes else _whole_characters(raw)


def _nothing(place: Place) -> Fault:
    return Fault(place, "empty", "nothing is written here", fatal=False)


def _weightier(known: Entry, entry: Entry) -> Entry:
    """What stands for a record of which both were read: its row, else the first that is fatal."""
    if isinstance(known, Row) or (isinstance(entry, Fault) and (known.fatal or not entry.fatal)):
        return known
    return entry


def _whole_characters(raw: bytes) -> bytes:
    """`raw` without its last character, which may be cut."""
    end = len(raw) - 1
    while end > 0 and raw[end] & 0xC0 == 0x80:
        end -= 1
    return raw[:end]
