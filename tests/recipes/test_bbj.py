"""The shipped BBj samples are what their recipe writes, and are in no two parts at once."""

import json
from pathlib import Path

from recipes.bbj.programs import PATTERNS, THINGS
from recipes.bbj.write import write

SHIPPED = Path("data/bbj")


def test_the_shipped_files_are_those_that_the_recipe_writes(tmp_path):
    write(tmp_path)
    made = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    shipped = {p.relative_to(SHIPPED): p.read_bytes() for p in SHIPPED.rglob("*") if p.is_file()}
    assert made == shipped


def test_no_program_of_the_corpus_is_asked_for():
    corpus = {path.read_text() for path in (SHIPPED / "corpus").iterdir()}
    rows = [json.loads(line) for line in (SHIPPED / "chat.jsonl").read_text().splitlines()]
    said = " ".join(message["content"] for row in rows for message in row["messages"])
    assert corpus and not [program for program in corpus if program in said]


def test_every_pattern_is_in_the_corpus_and_in_the_chat():
    names = [path.stem.partition("-")[2] for path in (SHIPPED / "corpus").iterdir()]
    assert set(names) == {pattern.key for pattern in PATTERNS}
    rows = [json.loads(line) for line in (SHIPPED / "chat.jsonl").read_text().splitlines()]
    assert {row["category"] for row in rows} == {pattern.topic for pattern in PATTERNS}
    assert len({thing.name for thing in THINGS}) == len(THINGS)
