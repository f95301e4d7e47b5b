"""The base of every shipped preset passes the checks of `prepare`, export included.

By its published sizes and its family's settings and kind of tokenizer: the headers of its weights
are those of the real model, in a sparse file without a byte of data.
"""

from __future__ import annotations

import json
import math
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from workbench.architectures.shape import known_config
from workbench.pipeline.checks import check
from workbench.pipeline.models import base_model as bases
from workbench.pipeline.models.candidate import Candidate, When
from workbench.pipeline.models.miniature_model import make_miniature
from workbench.pipeline.models.tokenizer_loading import load_tokenizer
from workbench.pipeline.prepare.stage import chat_format
from workbench.preset.inputs import EMBEDDED
from workbench.preset.loader import load
from workbench.preset.lookup import shipped_root
from workbench.preset.schema import Preset
from workbench.run.events import Event, Note

FILES = sorted((shipped_root() / "presets").glob("*.toml"))
BF16_BYTES = 2
# Its experts are one tensor in memory and many in the files: the miniature's files stand for it.
EXPERTS_STORED_APART = "deepseek-ai/"


@cache
def small(name: str) -> Path:
    """A base of the same kind, its tokenizer too."""
    return make_miniature(name)


def sparse(folder: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """A safetensors file of bfloat16 tensors, all of it a hole after the header."""
    header, at = dict[str, Any](), 0
    for name, shape in shapes.items():
        size = BF16_BYTES * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    data = json.dumps(header).encode()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(data).to_bytes(8, "little") + data)
        file.truncate(file.tell() + at)


def shapes_of(folder: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the model's weights, none made."""
    config = AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    tied = {"lm_head.weight"} if config.get_text_config().tie_word_embeddings else set()
    return {k: tuple(v.shape) for k, v in model.state_dict().items() if k not in tied}


def true_base(preset: Preset, folder: Path) -> Path:
    """The preset's base at its published size."""
    name = preset.model.base
    if name.startswith(EMBEDDED):
        return bases.fetch(preset.model)
    shutil.copytree(small(name), folder)
    path = folder / "config.json"
    if name.startswith(EXPERTS_STORED_APART):
        return folder
    values, known = json.loads(path.read_bytes()), known_config(name)
    text = values["text_config"] if "text_config" in values else values
    known |= known.pop("text_config", {})
    text.update({key: value for key, value in known.items() if key != "model_type"})
    text.pop("layer_types", None)  # transformers makes them of the depth
    if text["model_type"].startswith("gemma3"):
        text |= {"query_pre_attn_scalar": text["head_dim"]}
    path.write_text(json.dumps(values))
    (folder / "model.safetensors").unlink()
    sparse(folder, shapes_of(folder))
    return folder


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_base_passes_every_check(path: Path, tmp_path: Path) -> None:
    preset = load(str(path)).preset
    if preset.model.base.startswith(EXPERTS_STORED_APART):  # as deep as a miniature
        layers = [
            f"train.{number}.adapter.last_layers={min(stage.adapter.last_layers, 2)}"
            for number, stage in enumerate(preset.train)
        ]
        preset = load(str(path), layers).preset
    base, told = true_base(preset, tmp_path / "base"), list[str]()

    def emit(event: Event) -> None:
        assert isinstance(event, Note)
        told.append(event.message)

    candidate = Candidate(base, preset)
    check(When.CONFIG, candidate, emit)
    tokenizer = load_tokenizer(base, preset.model.added_tokens)
    template, _, end_of_turn = chat_format(preset, tokenizer, base)
    folder = tmp_path / "tokenizer"
    bases.save_tokenizer(tokenizer, template.by_name if template else {}, folder)
    candidate = Candidate(
        base, preset, tokenizer=folder, template=template, end_of_turn=end_of_turn
    )
    check(When.TOKENIZER, candidate, emit)
    check(When.WEIGHTS, candidate, emit)
    assert all(told), told
    if preset.model.base.endswith("Qwen2.5-Coder-0.5B-Instruct"):
        assert any(line.startswith("q4_k_m: 144 tensors in another format") for line in told), told
