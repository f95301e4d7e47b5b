"""Which prompts a stage is watched by, and how they are asked, from a prepared run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import tiny
from workbench.pipeline.context import Context
from workbench.pipeline.prepare.stage import prepare
from workbench.pipeline.training.sample_prompts import monitor_plan
from workbench.preset.loader import load
from workbench.run import events, folder
from workbench.runner.frozen_preset import freeze

PRESET = """
[model]
base = "{base}"
[data]
validation = 0.5
system = "Be kind."
[[data.source]]
path = "pairs.txt"
[[data.source]]
path = "raw"
format = "text"
[[train]]
objective = "pretrain"
source = [1]
[[train]]
source = [0]
[generate]
max_tokens = 40
context = 100
stop = ["END"]
"""


class Prepared:
    """A run whose data are prepared; `watched` asks what a stage of it is watched by."""

    def __init__(self, root: Path) -> None:
        self.root = root
        blocks = [f"# INPUT\nask {n}\n# OUTPUT\nsay {n}\n" for n in range(20)]
        (root / "pairs.txt").write_text("".join(blocks))
        (root / "raw").mkdir()
        for n in range(6):
            (root / "raw" / f"{n}.txt").write_text(f"document {n} " * 40)
        text = PRESET.replace("{base}", str(tiny.save_base(root / "base")))
        (root / "mine.toml").write_text(text)
        self.run = folder.create(root / "runs", "mine")
        self.told: list[events.Event] = []
        self.preset = load(str(root / "mine.toml")).preset
        freeze(load(str(root / "mine.toml")), self.run)
        prepare(load(str(self.run.preset_file)).preset, self.run, self.told.append)

    def watched(self, stage: int, *overrides: str) -> Any:
        run = folder.create(self.root / "runs", "other")  # only for its frozen preset
        freeze(load(str(self.root / "mine.toml"), overrides), run)
        preset = load(str(run.preset_file)).preset
        no = lambda: False  # noqa: E731
        context = Context(self.run, preset, self.told.append, no, no)
        return monitor_plan(context, preset.train[stage], tiny.tokenizer())


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("watched")
        patch.chdir(root)
        return Prepared(root)


@pytest.fixture(autouse=True)
def here(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(prepared.root)


def shown(ids: list[int]) -> str:
    return str(tiny.tokenizer().decode(ids))


def test_held_out_conversations_are_asked_as_the_chat_asks_them(prepared: Prepared) -> None:
    found = prepared.watched(1)
    assert len(found.prompts) == 3 and found.prompts[0].text.startswith("ask ")
    asked = shown(found.prompts[0].ids)
    assert asked.startswith("<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nask ")
    assert asked.endswith("<|im_start|>assistant\n") and "say" not in asked
    assert found.asking.stop_ids == [2] and found.asking.stops == ["END"]
    assert found.asking.sampling.max_tokens == 40  # the lesser of generate's and watch's


def test_pretraining_goes_on_from_the_first_words_of_held_back_documents(
    prepared: Prepared,
) -> None:
    found = prepared.watched(0)
    assert len(found.prompts) == 3 and {len(p.ids) for p in found.prompts} == {24}
    assert shown(found.prompts[0].ids) == found.prompts[0].text
    assert found.prompts[0].text.startswith("document ")


def test_own_prompts_are_texts_and_files(prepared: Prepared) -> None:
    (prepared.root / "plain.txt").write_text("Tell me of <|im_end|> tides.")
    (prepared.root / "asked.jsonl").write_text('{"messages": [{"role": "user", "content": "who"}]}')
    own = 'watch.prompts=["what", "FILE:plain.txt", "FILE:asked.jsonl"]'
    texts = [prompt.text for prompt in prepared.watched(1, own).prompts]
    assert texts == ["what", "Tell me of <|im_end|> tides.", "who"]
    ids = prepared.watched(1, own).prompts[1].ids
    assert list(ids).count(2) == 2, "the system's and the user's end of turn, none of the text's"
    assert [p.text for p in prepared.watched(0, own, "watch.count=2").prompts] == texts[:2]


def test_nothing_is_asked_and_nothing_general_where_it_is_switched_off(prepared: Prepared) -> None:
    found = prepared.watched(1, "watch.prompts=[]", "watch.general=false")
    assert found.prompts == [] and found.general is None


def test_what_does_not_fit_is_told(prepared: Prepared) -> None:
    long = "word " * 200
    found = prepared.watched(1, f'watch.prompts=["{long}", "short"]')
    assert [prompt.text for prompt in found.prompts] == ["short"]
    notes = [event.message for event in prepared.told if isinstance(event, events.Note)]
    assert notes[-1] == "watch.prompts: skipped 1 that are empty or longer than generate.context"
