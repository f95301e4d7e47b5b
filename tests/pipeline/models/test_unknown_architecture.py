"""An architecture that the export does not write: refused at once, or trained and merged without
GGUF, or written as GGUF by llama.cpp's converter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, GPTNeoXConfig

from tests import tiny
from tests.pipeline.export.conversions import CONVERTS, REFUSES, program
from tests.pipeline.test_worker import pairs, state_of, work
from workbench.bases import architecture
from workbench.cli import main
from workbench.core.errors import UserError
from workbench.pipeline.dry_run_process import estimate
from workbench.preset.loader import load
from workbench.run import events, folder
from workbench.run.folder import RunFolder
from workbench.run.log import read
from workbench.runner.frozen_preset import freeze

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
REFUSED = "architecture GPTNeoXForCausalLM cannot be written as GGUF by workbench"
PRESET = """
[model]
base = "base"
device = "cpu"
[data]
validation = 0.2
[[data.source]]
path = "pairs.txt"
[[train]]
name = "one"
sequence_length = 128
max_steps = 2
batch_tokens = 256
[[train]]
name = "two"
sequence_length = 128
max_steps = 2
batch_tokens = 256
[train.adapter]
continue = "merge"
[export]
formats = ["f16", "q8_0"]
[evaluate]
prompts = ""
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data, a preset and a GPT-NeoX as base."""
    (tmp_path / "pairs.txt").write_text(pairs(20))
    (tmp_path / "mine.toml").write_text(PRESET)
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=384,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "base")
    tiny.tokenizer().save_pretrained(tmp_path / "base")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(place: Path, *overrides: str) -> RunFolder:
    run = folder.create(place / "runs", "mine")
    freeze(load(str(place / "mine.toml"), overrides), run)
    return run


def warnings(run: RunFolder) -> list[str]:
    found = (record.event for record in read(run.events_file))
    return [e.message for e in found if isinstance(e, events.Note) and e.level == "warning"]


def test_a_run_and_a_dry_run_say_so_at_once(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in ([], ["--dry-run"], ["--stages", "prepare,train,export"]):
        assert main(["--preset", "mine.toml", *words]) == 2
        err = capsys.readouterr().err
        assert REFUSED in err and err.count("\n") == 1
        for way in ("export.converter", "export.formats = []", "--stages prepare,train"):
            assert way in err
    assert not (place / "runs").exists()
    with pytest.raises(UserError, match=REFUSED):  # as of a base in the Hub's cache
        estimate(load("mine.toml").preset)
    assert any(REFUSED in note for note in estimate(load("mine.toml").preset, False)["notes"])


def test_it_trains_where_no_export_is_reached_and_the_export_refuses(place: Path) -> None:
    run = made(place)
    assert work(run, "prepare", "train") == 0, state_of(run).error
    assert any(REFUSED in line for line in warnings(run))
    assert (run.training("two") / "adapters" / "final" / "adapter_model.safetensors").is_file()
    assert work(run) == 2 and REFUSED in str(state_of(run).error)


def test_adapter_and_merged_model_are_written_without_gguf(place: Path) -> None:
    run = made(place, "export.formats=[]", "export.merged=true")
    assert work(run) == 0, state_of(run).error
    assert not list(run.export.glob("*.gguf"))
    merged = run.export / "merged"
    assert "two" in (merged / "README.md").read_text()
    model = AutoModelForCausalLM.from_pretrained(merged)
    base = AutoModelForCausalLM.from_pretrained(place / "base")
    name = "gpt_neox.layers.0.mlp.dense_h_to_4h.weight"
    before, after = (one.state_dict()[name] for one in (base, model))
    assert model.config.vocab_size == 384 and not torch.equal(before, after)


def test_a_converter_that_does_not_know_it_is_refused_before_training(place: Path) -> None:
    converter = program(place, REFUSES)
    run = made(place, f"export.converter={converter}")
    assert work(run) == 2
    assert "Model X is not supported" in str(state_of(run).error)
    assert not run.training("one").exists()
    with pytest.raises(UserError, match="absent.py"):
        made(place, "export.converter=absent.py")


def test_a_converter_writes_its_gguf_files(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a Llama that counts as unknown here, and is known where the stand-in converts it."""
    known = tuple(name for name in architecture.EXPORTED if name != "LlamaForCausalLM")
    monkeypatch.setattr(architecture, "EXPORTED", known)
    tiny.save_base(place / "llama")
    converter = program(place, CONVERTS)
    run = made(
        place,
        "model.base=llama",
        f"export.converter={converter}",
        "export.merged=true",
        'evaluate.prompts="validation"',
        'evaluate.baselines=["base"]',
        "evaluate.limit=1",
        "generate.max_tokens=4",
        "generate.context=256",
    )
    assert work(run) == 0, state_of(run).error
    told = json.loads((run.export / "parity.json").read_text())["files"]
    assert [(one["type"], one["passed"]) for one in told] == [("f16", True), ("q8_0", True)]
    assert {"mine-f16.gguf", "mine-q8_0.gguf", "merged", "Modelfile", "answers.md"} <= {
        path.name for path in run.export.iterdir()
    }
    assert (run.evaluation / "base-f16.gguf").is_file()
