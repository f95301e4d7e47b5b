"""A data set of any size, as the screen looks at it: rows by their number, findings, news on disk.

A thread finds where the rows begin and watches the files; a row is read when it is drawn; a helper
process reads all of them for what is wrong with them. `version` rises with whatever is new.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from workbench.core.errors import UserError
from workbench.core.subprocesses import JsonChild, Message
from workbench.dataset.browse.file_bytes import ChangedError, FileIdentity
from workbench.dataset.browse.record_library import RecordLibrary, SourceRequest
from workbench.dataset.browse.records import Entry
from workbench.dataset.rows import Fault, Place
from workbench.dataset.sources import ReadPlan, list_files
from workbench.tui.panes.data.row_loader import RowLoader
from workbench.tui.panes.data.scan_results import ScanResults

SCAN = (sys.executable, "-P", "-m", "workbench.dataset.browse.scan_process")
LOOK_EVERY_S = 1.0
SPOOL_EVERY_S = 0.1


class DataModel:
    """`len` rows are known so far, faulty ones among them; `indexed` once those are all.

    `late` is called, in another thread, when a row is there that was asked for before it was read.
    """

    def __init__(self, source: SourceRequest, late: Callable[[], None] = lambda: None) -> None:
        self.source = source
        self.formats: tuple[tuple[str, str], ...] = ()
        self.found = ScanResults()
        self.trouble = ""
        self.version = 0
        self.generation = 0  # rises when the file has grown and all of it is looked at once more
        self.indexed = False
        self.replaced = False  # the files are others now: read them anew
        self._library: RecordLibrary | None = None
        self._scan: JsonChild | None = None
        self._rows = RowLoader(self._read, self._news, late)
        self._stopped = threading.Event()
        self._folder = tempfile.TemporaryDirectory(prefix="workbench-")
        self._thread = threading.Thread(target=self._run, name="data", daemon=True)

    def start(self) -> DataModel:
        """Begin to look."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Nobody looks any more: everything is given back, by and by."""
        self._stopped.set()

    def __len__(self) -> int:
        return 0 if self._library is None else len(self._library)

    @property
    def done(self) -> bool:
        """Whether all rows are known, and what is wrong with them."""
        return self.indexed and self.found.done

    @property
    def spooled(self) -> bool:
        """Whether rows come only as fast as the helper reads them."""
        return self._library is not None and self._library.spooled

    @property
    def kinds(self) -> str:
        """The format or formats, for a title."""
        return ", ".join(dict.fromkeys(format for format, _ in self.formats))

    def share(self, rows: int) -> float:
        """So many rows as a share of all."""
        return min(1.0, rows / max(1, len(self)))

    def entry(self, number: int, in_order: bool = False) -> Entry | None:
        """The row at `number`, from 0, or its fault; None where it is not read yet.

        `in_order` says that those beside it will be asked for too.
        """
        return self._rows.entry(number, in_order)

    def ahead(self, first: int, last: int) -> None:
        """Rows from `first` to `last` will be asked for soon."""
        self._rows.ahead(max(0, first), min(last, len(self) - 1))

    def key(self, path: str, line: int) -> int | None:
        """A number for a line of a file, in the order of the rows; see `browse.library`."""
        return None if self._library is None else self._library.key(path, line)

    def number_of(self, key: int) -> int | None:
        """The row at that line."""
        try:
            return None if self._library is None else self._library.number_of(key)
        except ChangedError:
            return None

    def left_out(self, number: int) -> int:
        """Bytes at the end of a row that are not looked at, as it is too long."""
        try:
            return 0 if self._library is None else self._library.left_out(number)
        except ChangedError:
            return 0

    def _news(self) -> None:
        self.version += 1

    def _read(self, number: int, count: int) -> list[Entry]:
        assert self._library is not None, "rows are asked for by a number below len()"
        try:
            return self._library.entries(number, count)
        except (ChangedError, OSError) as error:
            what = f"cannot be read: {error or 'the file has changed'}"
            return [Fault(Place(self.source.path, 0), "unreadable", what)]

    # In the thread

    def _run(self) -> None:
        try:
            self._look()
        except UserError as error:
            self.trouble = str(error)
        except OSError as error:
            self.trouble = f"{self.source.path}: {error.strerror}"
        except ChangedError:
            self.replaced = True
        if not self.found.done:
            self.found.read = self.found.done = self._scan is None
        self.indexed = True
        self._news()
        self._stopped.wait()
        self._give_back()

    def _look(self) -> None:
        watch = _Watch(self.source.path)
        plan = self.source.plan()
        self.formats = tuple((format, why) for _, format, why in plan.files)
        folder = Path(self._folder.name)
        self._library = RecordLibrary(plan, folder, answers=self.source.answers)
        self._library.extend()
        self._start_scan(self._library)
        grown = False
        while not self._stopped.is_set():
            self._find_rows(self._library)
            self._stopped.wait(LOOK_EVERY_S if self.indexed else SPOOL_EVERY_S)
            news = self._library.news()
            if news == "other" or watch.other_files(plan):
                self.replaced = True
                return
            if grown and not news:  # it has come to rest
                self._start_scan(self._library)
                self.generation += 1
            grown = news == "grown"

    def _find_rows(self, library: RecordLibrary) -> None:
        all_spooled = self.found.read
        known = len(library)
        while library.extend() and not self._stopped.is_set():
            self._news()
        self.indexed = all_spooled or not library.spooled
        if len(library) != known:
            self._rows.forget()  # the last row may have been half of one
            self._news()

    def _start_scan(self, library: RecordLibrary) -> None:
        if self._scan:
            self._scan.stop()
        self.found = found = ScanResults()

        def heard(said: Message) -> None:
            found.hear(said)
            self._news()

        fd = library.fd if library.spooled else None
        request = {"source": self.source.to_json(), "spool": fd}
        self._scan = JsonChild(SCAN, request, pass_fds=[] if fd is None else [fd])
        self._scan.listen(heard)

    def _give_back(self) -> None:
        if self._scan:
            self._scan.stop()
        self._rows.close()
        if self._library is not None:
            self._library.close()
        self._folder.cleanup()


class _Watch:
    """Whether a path names other files than it did: a folder has more, a file is there at last."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stamp = _stamp(path)

    def other_files(self, plan: ReadPlan) -> bool:
        before, self._stamp = self._stamp, _stamp(self._path)
        if self._stamp == before or (plan.files and not os.path.isdir(self._path)):
            return False
        found = list_files(self._path)
        return not isinstance(found, Fault) and found != [path for path, _, _ in plan.files]


def _stamp(path: str) -> FileIdentity | None:
    try:
        return FileIdentity.of(os.stat(os.path.expanduser(path)))
    except (OSError, ValueError):
        return None
