"""The circle: an answer is wrong, it is put right in the data, the next run has learnt it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.test_worker import state_of, work
from workbench.dataset.corrections import append
from workbench.dataset.rows import Message
from workbench.dataset.sources import read_source
from workbench.inference.conversation import generation_settings
from workbench.inference.session import Session
from workbench.preset.loader import load
from workbench.run import folder
from workbench.run.folder import RunFolder
from workbench.run.model_files import served_gguf
from workbench.runner.frozen_preset import freeze

PRESET = """
[model]
base = "embedded:tiny"
device = "cpu"
[data]
validation = 0.0
[[data.source]]
path = "{rows}"
[[train]]
name = "sft"
sequence_length = 128
epochs = 40.0
batch_tokens = 1024
learning_rate = 3e-3
[train.adapter]
rank = 32
alpha = 64
dropout = 0.0
targets = "all-linear"
[export]
formats = ["q8_0"]
[generate]
temperature = 0
max_tokens = 40
context = 256
[evaluate]
prompts = ""
"""
COLOURS = ("red", "green", "blue", "white", "black", "brown")
QUESTION = [Message("user", "Which colour has the door of house 7?")]
RIGHT = "The door of house 7 is yellow."

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def talk(number: int, colour: str) -> list[Message]:
    asked = Message("user", f"Which colour has the door of house {number}?")
    return [asked, Message("assistant", f"The door of house {number} is {colour}.")]


def tuned(place: Path, name: str) -> RunFolder:
    """A run over the data set as it is now, up to the file that is talked to."""
    (place / "preset.toml").write_text(PRESET.replace("{rows}", str(place / "rows.jsonl")))
    run = folder.create(place / "runs", name)
    freeze(load(str(place / "preset.toml")), run)
    assert work(run, "prepare", "train", "export") == 0, state_of(run).error
    return run


def answer(run: RunFolder, messages: list[Message]) -> str:
    settings = generation_settings(load(str(run.preset_file)).preset)
    with Session.open(served_gguf(run), context=settings.context) as session:
        return session.answer(messages, settings.sampling, settings.stop).text


def test_a_corrected_answer_is_given_by_the_next_run(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    for number, colour in enumerate(COLOURS, 1):
        append(rows, talk(number, colour))
    first = tuned(tmp_path, "first")
    wrong = answer(first, QUESTION)
    assert wrong != RIGHT and wrong.startswith("The door of house")
    written = append(rows, [*QUESTION, Message("assistant", RIGHT)], ["corrected", "first q8_0"])
    assert written.place.line == len(COLOURS) + 1 == len(read_source(rows).rows)
    second = tuned(tmp_path, "second")
    assert answer(second, QUESTION) == RIGHT
    for number, colour in enumerate(COLOURS, 1):
        asked, expected = talk(number, colour)
        assert answer(second, [asked]) == expected.content, "what it knew before is kept"
