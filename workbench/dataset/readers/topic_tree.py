"""The tree of topics: a structure file that names them, and a file of questions for each.

    FOLDER/structure.enriched.json
    FOLDER/topics/<category>/<subcategory>/<category>.<subcategory>.<content type>.json

The structure says what there ought to be. What it names and nobody has written can be scaffolded;
a file that it does not name is reported, because nothing would be learned from it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from workbench.core.errors import UserError
from workbench.core.text import one_line, size
from workbench.dataset.readers.fields import words_field
from workbench.dataset.readers.lines import open_regular
from workbench.dataset.readers.strict_json import Refused, a_type, parse_json
from workbench.dataset.rows import Fault, Place, raise_faults

STRUCTURE = "structure.enriched.json"
FOLDER = "topics"
MAX_BYTES = 16 << 20
_NAME = re.compile(r"[^\s/\\.\0-][^/\\\0]{0,127}")


@dataclass(frozen=True)
class Topic:
    """One file of the tree, and what the structure says of it."""

    path: Path
    category: str
    subcategory: str
    content_type: str
    tags: tuple[str, ...] = ()

    def facts(self) -> dict[str, str]:
        """What every record of the file has from its place."""
        names = ("category", "subcategory", "content_type")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Tree:
    """All topics that the structure names, and what is wrong with it."""

    folder: Path
    topics: tuple[Topic, ...]
    faults: tuple[Fault, ...] = ()


def is_tree(path: Path) -> bool:
    """Whether the folder holds a structure, or the path is one."""
    return path.name == STRUCTURE or (path / STRUCTURE).is_file()


def read_tree(path: Path) -> Tree:
    """The tree in a folder, or of a structure file. Faults instead of raising."""
    folder = path.parent if path.name == STRUCTURE else path
    file = folder / STRUCTURE
    try:
        found = file.stat()
        return _read(file, (found.st_mtime_ns, found.st_size))
    except OSError:
        hint = f"a topic tree needs a {STRUCTURE}"
        return Tree(folder, (), (Fault(Place(str(file), 0), "missing", "file not found", hint),))


def topic_of(path: Path) -> Topic | None:
    """The topic that the file belongs to; None where it stands in no tree."""
    folder = path.parent.parent.parent
    if folder.name != FOLDER or not is_tree(folder.parent):
        return None
    tree = read_tree(folder.parent)
    return next((topic for topic in tree.topics if topic.path == path), None)


def notes(tree: Tree) -> list[Fault]:
    """What is missing of the tree, and what lies in it that the structure does not name."""
    missing = [topic.path for topic in tree.topics if not topic.path.exists()]
    named = {topic.path for topic in tree.topics}
    strange = sorted(set((tree.folder / FOLDER).glob("*/*/*.json")) - named)
    hint = "create it: workbench data FOLDER --scaffold"
    told = [
        (path, "missing-topic", "listed in the structure but missing", hint) for path in missing
    ]
    told += [(path, "strange-topic", f"not listed in {STRUCTURE}; ignored", "") for path in strange]
    return [Fault(Place(str(p), 0), code, what, cure, fatal=False) for p, code, what, cure in told]


def scaffold(path: Path) -> list[Path]:
    """Write every missing file of the tree, empty of questions; what is there is left alone.

    Raises UserErrors for a structure at fault, UserError where a file cannot be written.
    """
    tree = read_tree(path)
    raise_faults(tree.faults)
    made = [topic.path for topic in tree.topics if not os.path.lexists(topic.path)]
    for file in made:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with open(file, "x", encoding="utf-8") as empty:
                empty.write("[]\n")
        except OSError as error:
            raise UserError(f"cannot be written: {error.strerror}", path=file) from None
    return made


@lru_cache(maxsize=8)
def _read(file: Path, stamp: tuple[int, int]) -> Tree:
    opened = open_regular(file)
    if isinstance(opened, Fault):
        return Tree(file.parent, (), (opened,))
    with opened:
        data = opened.read(MAX_BYTES + 1)
    place = Place(str(file), 1)
    try:
        if len(data) > MAX_BYTES:
            raise Refused("too-large", f"the structure is larger than {size(MAX_BYTES)}")
        text = data.decode("utf-8-sig")
        return _tree(file, text, parse_json(text))
    except UnicodeDecodeError:
        fault = Fault(place, "not-utf8", "the structure is not UTF-8", "save the file as UTF-8")
        return Tree(file.parent, (), (fault,))
    except Refused as refused:
        return Tree(file.parent, (), (refused.at(place),))


def _tree(file: Path, text: str, value: Any) -> Tree:
    topics: list[Topic] = []
    faults: list[Fault] = []
    for category, below in _object(value, "the structure").items():
        try:
            for subcategory, facts in _object(below, f"'{one_line(category, 40)}'").items():
                line = _line_of(text, category, subcategory)
                try:
                    topics += _topics(file.parent, category, subcategory, facts)
                except Refused as refused:
                    faults.append(refused.at(Place(str(file), line)))
        except Refused as refused:
            faults.append(refused.at(Place(str(file), _line_of(text, category))))
    return Tree(file.parent, tuple(topics), tuple(faults))


def _topics(folder: Path, category: str, subcategory: str, facts: Any) -> list[Topic]:
    where = f"'{one_line(subcategory, 40)}'"
    facts = _object(facts, where)
    kinds = words_field(facts, "content_type")
    if not kinds:
        hint = 'describe its content, such as "content_type": ["reasoning"]'
        raise Refused("missing-key", f"{where} has no content_type", hint)
    for name in (category, subcategory, *kinds):
        if not _NAME.fullmatch(name):
            raise Refused("name", f"'{one_line(name, 40)}' cannot be a file name", "rename it")
    below = folder / FOLDER / category / subcategory
    tags = words_field(facts, "tags")
    return [
        Topic(below / f"{category}.{subcategory}.{kind}.json", category, subcategory, kind, tags)
        for kind in dict.fromkeys(kinds)
    ]


def _object(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise Refused("wrong-type", f"{where} is {a_type(value)}, not an object")


def _line_of(text: str, *keys: str) -> int:
    """The line where the last of the nested keys stands, found by looking for each behind another.

    Keys written with escapes are not found; the line is then that of the key before.
    """
    at = 0
    for key in keys:
        found = re.compile(rf'"{re.escape(key)}"\s*:').search(text, at)
        at = found.start() if found else at
    return 1 + text.count("\n", 0, at)
