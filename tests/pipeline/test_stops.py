"""A base that knew no end of turn, trained to answer and stop: it stops wherever it is served.

The tiny base ends texts with `<|endoftext|>`, its template turns with `<|im_end|>`; the tuned model
says one word and ends the turn, and would go on for ever if nothing stopped it there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import pytest
from llama_cpp import Llama
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from tests import tiny
from tests.pipeline.test_worker import state_of, work
from workbench.pipeline.export.model_card import USE
from workbench.pipeline.export.plan import plan_export
from workbench.pipeline.models.weights import Weights
from workbench.pipeline.models.weights import load as load_result
from workbench.preset.loader import load
from workbench.run import folder
from workbench.run.folder import RunFolder
from workbench.runner.frozen_preset import freeze

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
SAID, END, END_OF_TEXT, PAD = "list", 2, 0, 3
ASK = [{"role": "user", "content": "Write a component that shows the users."}]
PRESET = """
[model]
base = "{base}"
device = "cpu"
[data]
validation = 0.0
[[data.source]]
path = "{rows}"
[[train]]
name = "sft"
sequence_length = 64
max_steps = 120
batch_tokens = 256
learning_rate = 5e-3
[train.adapter]
rank = 8
[export]
formats = ["f32"]
merged = true
parity = false
[generate]
temperature = 0
repeat_penalty = 1.0
max_tokens = 17
context = 256
[evaluate]
prompts = ""
"""


@dataclass(frozen=True)
class Trained:
    """A run, its base and the folder of its adapter."""

    run: RunFolder
    base: Path
    adapter: Path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    home = tmp_path_factory.mktemp("stops")
    base = tiny.save_base(home / "base", "qwen2")
    config = json.loads((base / "tokenizer_config.json").read_text())
    (base / "tokenizer_config.json").write_text(
        json.dumps({**config, "eos_token": "<|endoftext|>"})
    )
    (base / "generation_config.json").write_text(json.dumps({"eos_token_id": END_OF_TEXT}))
    talks = [
        [{"role": "user", "content": text}, {"role": "assistant", "content": SAID}]
        for text in ("Write a list.", "Show the users.", "The fox?", ASK[0]["content"])
    ]
    (home / "rows.jsonl").write_text("\n".join(json.dumps({"messages": t}) for t in talks))
    (home / "mine.toml").write_text(PRESET.format(base=base, rows=home / "rows.jsonl"))
    run = folder.create(home / "runs", "mine")
    freeze(load(str(home / "mine.toml")), run)
    assert work(run, "prepare", "train", "export") == 0, state_of(run).error
    (adapter,) = load_result(run.training("sft")).weights.adapters
    return Trained(run, base, adapter)


def ids_after(model: Any, tokenizer: Any, **settings: Any) -> list[int]:
    """The response to `ASK`, special tokens and all."""
    asked = tokenizer.apply_chat_template(
        ASK, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    made = model.generate(**asked, **settings)
    return [int(one) for one in made[0, asked["input_ids"].shape[1] :]]


def said(tokenizer: Any, ids: list[int]) -> str:
    return str(tokenizer.decode(ids))


def test_the_merged_folder_stops_in_plain_transformers(trained: Trained) -> None:
    merged = trained.run.export / "merged"
    model, tokenizer = (
        kind.from_pretrained(merged) for kind in (AutoModelForCausalLM, AutoTokenizer)
    )
    assert said(tokenizer, ids_after(model, tokenizer)) == f"{SAID}<|im_end|>"
    before = GenerationConfig.from_pretrained(trained.base)
    before.max_new_tokens, before.pad_token_id = 17, PAD
    assert len(ids_after(model, tokenizer, generation_config=before)) == 17, (
        "the base's own did not"
    )


def test_the_card_s_own_lines_stop(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained.run.export)
    lines = USE.format(name="merged").split("```")[1].removeprefix("python")
    exec(compile(lines, "card", "exec"), {})
    assert capsys.readouterr().out.strip().endswith(f"{SAID}<|im_end|>")


def test_base_and_adapter_folder_stop_through_peft(trained: Trained) -> None:
    model = AutoPeftModelForCausalLM.from_pretrained(trained.adapter)
    tokenizer = AutoTokenizer.from_pretrained(trained.adapter)
    assert tokenizer.chat_template == tiny.CHATML
    generation = GenerationConfig.from_pretrained(trained.adapter)
    found = ids_after(model, tokenizer, generation_config=generation)
    assert said(tokenizer, found) == f"{SAID}<|im_end|>"


def test_the_gguf_file_stops_in_llama_cpp_s_own_loop(trained: Trained) -> None:
    model = Llama(str(trained.run.export / "mine-f32.gguf"), n_ctx=256, verbose=False)
    try:
        made: Any = model.create_chat_completion(
            [{"role": "user", "content": ASK[0]["content"]}], temperature=0, max_tokens=17
        )
        assert made["choices"][0]["finish_reason"] == "stop"
        assert made["choices"][0]["message"]["content"] == SAID
        prompt = f"<|im_start|>user\n{ASK[0]['content']}<|im_end|>\n<|im_start|>assistant\n"
        ids = model.tokenize(prompt.encode(), add_bos=False, special=True)
        made = model.create_completion(ids, temperature=0, max_tokens=17)
        assert made["choices"][0]["finish_reason"] == "stop", "without a chat handler's stops"
    finally:
        model.close()


def test_every_folder_says_what_was_trained(trained: Trained) -> None:
    wanted = {
        "eos_token_id": [END, END_OF_TEXT],
        "pad_token_id": PAD,
        "max_new_tokens": 17,
        "repetition_penalty": 1.0,
        "do_sample": False,
    }
    merged = trained.run.export / "merged"
    for place in (trained.run.tokenizer, merged, trained.adapter):
        assert json.loads((place / "generation_config.json").read_text()) == wanted
    config = json.loads((merged / "config.json").read_text())
    assert config["eos_token_id"] == [END, END_OF_TEXT] and config["pad_token_id"] == PAD
    fields = gguf.GGUFReader(trained.run.export / "mine-f32.gguf").fields
    found = {key: fields[f"tokenizer.ggml.{key}_token_id"].contents() for key in ("eos", "eot")}
    assert found == {"eos": END_OF_TEXT, "eot": END}
    assert fields["tokenizer.ggml.padding_token_id"].contents() == PAD
    assert fields["general.sampling.temp"].contents() == 0.0


def test_smoke_answers_and_samples_stop_at_the_same_tokens(trained: Trained) -> None:
    plan = plan_export(Weights(trained.base), ["f32"], trained.run.tokenizer)
    assert plan.stop_ids == [END, END_OF_TEXT]
