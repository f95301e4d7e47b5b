"""Verdicts of a checker that are remembered: the same program never judges the same text twice.

Kept in the cache folder, a file a checker, a JSON line a verdict, so that a judging that was
interrupted goes on where it stopped. What may fall out otherwise another time (over the time limit,
killed, not started) is not remembered. A checker counts as another one once its command, its limits
or a program file that it names has changed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from workbench.checkers.builtin import is_builtin
from workbench.checkers.execution import CheckItem, Limits, Verdict, check_many, find_program
from workbench.checkers.launcher import NOT_STARTED
from workbench.core.files import write_all
from workbench.core.paths import cache_folder

BATCH = 256


@dataclass(frozen=True)
class VerdictCache:
    """A checker that remembers; `folder` holds its verdicts, by default below the cache folder."""

    command: tuple[str, ...]
    suffix: str = ""
    limits: Limits = Limits()
    folder: Path | None = None

    def judge(self, items: Iterable[CheckItem], workers: int) -> Iterator[Verdict]:
        """A verdict an item, in order. Raises UserError when the program is not installed."""
        find_program(self.command)
        path, waiting = self._file(), iter(items)
        path.parent.mkdir(parents=True, exist_ok=True)
        known = _load(path)
        with open(path, "ab", buffering=0) as file:
            if file.tell() and not path.read_bytes().endswith(b"\n"):
                write_all(file.fileno(), b"\n")  # a kill cut the last line short
            while batch := list(islice(waiting, BATCH)):
                yield from self._judge_batch(batch, known, file.fileno(), workers)

    def forget(self) -> None:
        """Remove what is remembered, as when the program has changed in files it does not name."""
        self._file().unlink(missing_ok=True)

    def _judge_batch(
        self, batch: list[CheckItem], known: dict[str, Verdict], fd: int, workers: int
    ) -> Iterator[Verdict]:
        keys = [self._key(item) for item in batch]
        unknown = {key: item for key, item in zip(keys, batch, strict=True) if key not in known}
        verdicts = check_many(
            self.command, unknown.values(), suffix=self.suffix, limits=self.limits, workers=workers
        )
        for key in keys:
            if key not in known:
                known[key] = next(verdicts)
                _remember(fd, key, known[key])
            yield known[key]

    def _file(self) -> Path:
        facts = [self.command, self.suffix, asdict(self.limits), *map(_stamp, self.command)]
        name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
        return (self.folder or cache_folder() / "verdicts") / f"{name}.jsonl"

    def _key(self, item: CheckItem) -> str:
        seen = {"prompt": item.prompt, "expected": item.expected}
        words = " ".join(self.command)
        told = [text for name, text in seen.items() if f"{{{name}}}" in words]
        if is_builtin(self.command):
            told = [item.expected, *item.must_contain]
        raw = json.dumps([item.answer, *told]).encode("utf-8", "replace")
        return hashlib.sha256(raw).hexdigest()


def _stamp(word: str) -> list[list[int]]:
    """Size and time of the files behind a word of the command; none behind a mere argument."""
    found = shutil.which(word) or word
    paths = [Path(found), *_module_files(word)]
    stats = [path.stat() for path in paths if path.is_file()]
    return [[one.st_size, one.st_mtime_ns] for one in stats]


def _module_files(word: str) -> list[Path]:
    """The files of one of our own modules, as in `{python} -m workbench.checkers.blop`."""
    spec = importlib.util.find_spec(word) if word.startswith("workbench.") else None
    folders = (spec.submodule_search_locations if spec else None) or ()
    return sorted(path for folder in folders for path in Path(folder).glob("*.py"))


def _remember(fd: int, key: str, verdict: Verdict) -> None:
    if verdict.status is not None and 0 <= verdict.status != NOT_STARTED:
        value = {"key": key, "status": verdict.status, "reason": verdict.reason}
        write_all(fd, (json.dumps(value) + "\n").encode())


def _load(path: Path) -> dict[str, Verdict]:
    """The verdicts in the file; a line that was cut short or damaged counts for nothing."""
    known = {}
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    for line in lines:
        try:
            value = json.loads(line)
            status, reason = int(value["status"]), str(value["reason"])
            known[str(value["key"])] = Verdict(status == 0, status, reason, 0.0)
        except (ValueError, TypeError, KeyError):
            continue
    return known
