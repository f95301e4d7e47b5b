"""Bases that no training may start on: each refused at once, in one line, before its weights come.

On the Hub, through `prepare` as the worker runs it; as a folder, by the front where its files say
so already.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import tiny
from tests.hub import Repository, serve
from workbench.bases.listing import INDEX, SINGLE
from workbench.cli import main

Files = dict[str, bytes]
PREPARE = """
import json, sys
from pathlib import Path
from workbench.core.errors import WorkbenchError
from workbench.pipeline.prepare.stage import prepare
from workbench.preset.loader import load
from workbench.run.folder import RunFolder
for name in json.loads(sys.argv[2]):
    preset = load(sys.argv[1], [f"model.base=we/{name}"]).preset
    run = Path(name)
    (run / "dataset").mkdir(parents=True)
    try:
        prepare(preset, RunFolder(run.resolve()), lambda event: None)
        line = ""
    except WorkbenchError as error:
        line = str(error)
    print(json.dumps([name, line]))
"""
PRESET = """
[[data.source]]
path = "rows.jsonl"
[[train]]
name = "sft"
[export]
formats = ["q4_k_m"]
[evaluate]
prompts = ""
"""


def changed(name: str = "config.json", **values: Any) -> Callable[[Files], Files]:
    """The model with other values in one of its JSON files."""

    def change(files: Files) -> Files:
        merged = {**json.loads(files.get(name, b"{}")), **values}
        return {**files, name: json.dumps(merged).encode()}

    return change


def quantized(**values: Any) -> Callable[[Files], Files]:
    return changed(quantization_config=values)


def of_kind(architecture: str, **values: Any) -> Callable[[Files], Files]:
    return changed(architectures=[architecture], **values)


def instead(old: str, **new: bytes) -> Callable[[Files], Files]:
    """The model without the file `old`, and with others."""

    def change(files: Files) -> Files:
        return {name: data for name, data in files.items() if name != old} | new

    return change


def without_template(files: Files) -> Files:
    return {name: data for name, data in files.items() if name != "chat_template.jinja"}


def unigram(files: Files) -> Files:
    values = json.loads(files["tokenizer.json"])
    words = [[word, -float(i)] for word, i in values["model"]["vocab"].items()]
    values["model"] = {"type": "Unigram", "unk_id": 0, "vocab": words, "byte_fallback": False}
    return {**files, "tokenizer.json": json.dumps(values).encode()}


def adapter(files: Files) -> Files:
    config = {"peft_type": "LORA", "base_model_name_or_path": "Qwen/Qwen3-0.6B"}
    kept = {"adapter_model.safetensors": b"x", "tokenizer.json": files["tokenizer.json"]}
    return {**kept, "adapter_config.json": json.dumps(config).encode()}


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n"
NEOX = dict(model_type="gpt_neox", hidden_size=64, num_attention_heads=4, num_hidden_layers=2)
GPTQ = dict(quant_method="gptq", bits=4, group_size=128)
PACKED = dict(quant_method="compressed-tensors", format="pack-quantized")
SHARD = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}

# kind -> what makes it of a sound model, what the line says; "front": known from a folder's files
KINDS: dict[str, tuple[Callable[[Files], Files], str]] = {
    "unknown-architecture": (of_kind("GPTNeoXForCausalLM", **NEOX), "cannot be written as GGUF"),
    "encoder": (of_kind("BertForMaskedLM", model_type="bert"), "BertForMaskedLM is an encoder"),
    "encoder-decoder": (
        of_kind("T5ForConditionalGeneration", model_type="t5", is_encoder_decoder=True),
        "is an encoder-decoder model",
    ),
    "classifier": (of_kind("Qwen2ForSequenceClassification"), "is a classifier"),
    "gptq": (quantized(**GPTQ), "(GPTQ, 4-bit)"),
    "awq": (quantized(quant_method="awq", bits=4), "(AWQ, 4-bit)"),
    "compressed-tensors": (quantized(**PACKED), "(compressed-tensors)"),
    "mxfp4": (quantized(quant_method="mxfp4"), "(MXFP4)"),
    "mlx": (changed(quantization={"group_size": 64, "bits": 4}), "(MLX, 4-bit)"),
    "adapter": (adapter, 'use model.base = "Qwen/Qwen3-0.6B"'),
    "lfs-pointer": (lambda files: {**files, "tokenizer.json": POINTER}, "a Git LFS pointer"),
    "no-tokenizer": (instead("tokenizer.json"), "the tokenizer is missing"),
    "pickled": (instead(SINGLE, **{"pytorch_model.bin": b"x"}), "pickled weights (*.bin)"),
    "gguf": (instead(SINGLE, **{"model-q4_0.gguf": b"x"}), "contains only GGUF files"),
    "consolidated": (instead(SINGLE, **{"consolidated.safetensors": b"x"}), "neither model.safe"),
    "shard-missing": (instead(SINGLE, **{INDEX: json.dumps(SHARD).encode()}), "which is missing"),
    "damaged-config": (lambda files: {**files, "config.json": b"{"}, "not a model configuration"),
    "remote-code": (
        of_kind("XForCausalLM", model_type="x", auto_map={"AutoModelForCausalLM": "x.X"}),
        "needs Python code of its own",
    ),
    "unknown-model-type": (
        of_kind("XForCausalLM", model_type="x"),
        "does not support model_type 'x'",
    ),
    "rope": (
        changed(rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}),
        "rope type 'dynamic'",
    ),
    "no-template": (without_template, "chat template"),
    "unigram": (unigram, "Unigram tokenizers are not supported"),
}
LATER = ("remote-code", "unknown-model-type", "rope", "no-template", "unigram")  # not by the front


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tiny.save_base(tmp_path_factory.mktemp("model"))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    turns = [[("user", f"What is {n}?"), ("assistant", f"A number, {n}.")] for n in range(20)]
    rows = [{"messages": [{"role": r, "content": c} for r, c in turn]} for turn in turns]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "mine.toml").write_text(PRESET)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "mine.toml"


def prepared(preset: Path, url: str, names: list[str]) -> dict[str, str]:
    """Name -> the error's line, all in one process with the client's own cache."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    env |= {"HF_HOME": str(preset.parent / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PREPARE, str(preset), json.dumps(names)],
        env=env | {"HF_ENDPOINT": url},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('["')]
    return dict(told)


def test_each_kind_is_refused_before_any_weight_is_asked_for(preset: Path, sound: Files) -> None:
    made = {f"we/{kind}": Repository(change(sound)) for kind, (change, _) in KINDS.items()}
    with serve(made | {"we/sound": Repository(sound)}) as hub:
        told = prepared(preset, hub.url, list(KINDS))
        weights = [line for line in hub.asked if line.endswith((".safetensors", ".bin", ".gguf"))]
        assert weights == []
        assert prepared(preset, hub.url, ["sound"])["sound"] == "", "the unchanged model passes"
    assert list(told) == list(KINDS)
    for kind, line in told.items():
        assert KINDS[kind][1] in line, (kind, line)
        assert "\n" not in line and "snapshots" not in line, (kind, line)


MIXTURE = of_kind(
    "Qwen3MoeForCausalLM", model_type="qwen3_moe", num_experts=4, moe_intermediate_size=8
)
ADAPTERS = {
    'targets = ["q_proj", "v_porj"]': "no module 'v_porj' in this model (did you mean 'v_proj'?)",
    'targets = ["exprts"]': "no module 'exprts' in this model (did you mean 'experts'?)",
    'targets = ["gate_proj"]': "gate_proj of the experts is one matrix with up_proj",
    'kind = "dora"': "DoRA cannot train experts",
    "last_layers = 9": "9, but the model has 2",
}


@pytest.mark.parametrize("keys", ADAPTERS)
def test_targets_that_the_base_does_not_have_are_refused_before_its_weights(
    preset: Path, sound: Files, keys: str
) -> None:
    text = PRESET.replace('name = "sft"', f'name = "sft"\n[train.adapter]\n{keys}')
    preset.write_text(text)
    with serve({"we/mixture": Repository(MIXTURE(sound))}) as hub:
        line = prepared(preset, hub.url, ["mixture"])["mixture"]
        assert not [asked for asked in hub.asked if asked.endswith(".safetensors")]
    key = "last_layers" if keys.startswith("last") else "targets"
    assert line.startswith(f"train.sft.adapter.{key}: {ADAPTERS[keys]}")
    assert "\n" not in line


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in LATER])
def test_a_folder_of_that_kind_leaves_no_run_behind(
    preset: Path, sound: Files, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    base = preset.parent / "base"
    base.mkdir()
    for name, data in KINDS[kind][0](sound).items():
        (base / name).write_bytes(data)
    assert main(["--preset", str(preset), f"--set=model.base={base}"]) == 2
    out, err = capsys.readouterr()
    assert KINDS[kind][1] in err and err.count("\n") == 1 and out == ""
    assert not (preset.parent / "runs").exists()


def test_a_gguf_file_as_base_is_refused_as_a_value(
    preset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--preset", str(preset), "--set=model.base=model-q4_k_m.gguf"]) == 2
    assert "model.base: a GGUF file cannot be trained" in capsys.readouterr().err
