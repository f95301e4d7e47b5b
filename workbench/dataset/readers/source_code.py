"""Folders of source code: a file is a document, headers and licences included.

Read are the files whose suffix names a language (or those the source asks for). What is hidden, was
vendored or built, is binary, empty or larger than 1 MiB is left out, and each kind is counted.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from workbench.core.text import one_line, quantity, size
from workbench.dataset.reader_options import PLAIN, ReaderOptions
from workbench.dataset.readers import plain_text
from workbench.dataset.readers.compression import plain_suffix
from workbench.dataset.readers.lines import open_regular
from workbench.dataset.rows import Fault, Place, Row

FORMAT = "code"
MAX_BYTES = 1 << 20
SAMPLE_BYTES = 8 << 10
SNIFFED_FILES = 2000
DATA_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow")
_LANGUAGES = {
    "assembly": ".asm .s",
    "bbj": ".bbj .bbx .bbl .src",
    "blop": ".blop",
    "c": ".c .h",
    "c++": ".cc .cpp .cxx .hh .hpp .hxx",
    "c#": ".cs",
    "clojure": ".clj .cljs",
    "css": ".css .scss .less",
    "dart": ".dart",
    "elixir": ".ex .exs",
    "erlang": ".erl .hrl",
    "fortran": ".f .f90 .f95",
    "go": ".go",
    "haskell": ".hs",
    "html": ".html .htm .vue .svelte",
    "java": ".java",
    "javascript": ".js .jsx .mjs .cjs",
    "julia": ".jl",
    "kotlin": ".kt .kts",
    "lisp": ".lisp .el .scm",
    "lua": ".lua",
    "ocaml": ".ml .mli",
    "pascal": ".pas",
    "perl": ".pl .pm",
    "php": ".php",
    "python": ".py .pyi",
    "r": ".r",
    "ruby": ".rb",
    "rust": ".rs",
    "scala": ".scala",
    "shell": ".sh .bash .zsh",
    "sql": ".sql",
    "swift": ".swift",
    "typescript": ".ts .tsx",
    "zig": ".zig",
}
LANGUAGE = {suffix: name for name, found in _LANGUAGES.items() for suffix in found.split()}
VENDORED = frozenset(
    "node_modules bower_components vendor third_party third-party site-packages dist build target "
    "out venv env __pycache__".split()
)
_SPDX = re.compile(r"SPDX-License-Identifier:[ \t]*([\w.+()\- ]{1,80}?)[ \t]*(?:\*/|-->|$)", re.M)


def read(path: Path, options: ReaderOptions = PLAIN) -> Iterator[Row | Fault]:
    """The documents of one file, or a note saying why it is left out."""
    entries = list(plain_text.read(path, options))
    fault = next((entry for entry in entries if isinstance(entry, Fault) and entry.fatal), None)
    if fault:
        yield replace(fault, code="skipped", message=f"skipped: {fault.message}", fatal=False)
        return
    language = LANGUAGE.get(path.suffix.lower(), path.suffix.lower().lstrip("."))
    for entry in entries:
        if isinstance(entry, Row):
            licence = _SPDX.search(entry.text)
            entry = replace(entry, category=entry.category or language)
            yield entry.labelled([("licence", licence[1] if licence else "")])
        elif entry.code != "crlf":
            yield entry


def sniff_folder(folder: Path) -> str:
    """Why a folder holds code, by its first files: most are of a language, none are data."""
    n_code = n_files = 0
    for file in islice(_files(folder, Skipped()), SNIFFED_FILES):
        if plain_suffix(file) in DATA_SUFFIXES:
            return ""
        n_code += file.suffix.lower() in LANGUAGE
        n_files += 1
    return "most of its files are source code" if n_code * 2 > n_files else ""


@dataclass
class Skipped:
    """What of a folder is not read: how much of each kind, and the first of it."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    first: dict[tuple[str, str], Path] = field(default_factory=dict)

    def add(self, thing: str, reason: str, path: Path) -> None:
        self.counts[thing, reason] += 1
        self.first.setdefault((thing, reason), path)

    def notes(self, folder: Path) -> list[Fault]:
        """A note a kind."""
        place = Place(str(folder), 0)
        return [
            Fault(
                place,
                "skipped",
                f"{quantity(count, thing)} skipped: {reason}",
                f"such as {one_line(str(self.first[thing, reason]), 80)}",
                fatal=False,
            )
            for (thing, reason), count in self.counts.items()
        ]


def plan_folder(folder: Path, suffixes: tuple[str, ...] = ()) -> tuple[list[Path], list[Fault]]:
    """(the files of a folder that are read, notes on what is not), in order."""
    skipped = Skipped()
    kept = []
    for file in _files(folder, skipped):
        if reason := _reason(file, suffixes):
            skipped.add("file", reason, file.relative_to(folder))
        else:
            kept.append(file)
    return kept, skipped.notes(folder)


def _files(folder: Path, skipped: Skipped) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        for name in sorted(folders):
            if name.startswith(".") or name in VENDORED:
                reason = "hidden" if name.startswith(".") else "generated or vendored code"
                skipped.add("folder", reason, Path(here, name).relative_to(folder))
        folders[:] = sorted(n for n in folders if not n.startswith(".") and n not in VENDORED)
        yield from (Path(here, name) for name in sorted(files) if not name.startswith("."))


def _reason(file: Path, suffixes: tuple[str, ...]) -> str:
    """What keeps a file from being read, `""` when nothing does."""
    wanted = file.suffix in suffixes if suffixes else file.suffix.lower() in LANGUAGE
    if not wanted:
        return "not of the given suffixes" if suffixes else "no supported language"
    if file.name.lower().endswith((".min.js", ".min.css", ".map")):
        return "minified"
    opened = open_regular(file)
    if isinstance(opened, Fault):
        return "cannot be read"
    with opened:
        n_bytes = os.fstat(opened.fileno()).st_size
        sample = opened.read(SAMPLE_BYTES)
    if n_bytes > MAX_BYTES:
        return f"larger than {size(MAX_BYTES)}"
    if b"\0" in sample:
        return "binary"
    return "" if sample.strip() else "empty"
