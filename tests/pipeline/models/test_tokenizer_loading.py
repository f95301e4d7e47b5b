"""tokenizer.json decides how a text is tokenized, whatever class transformers takes for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from tests.pipeline.export.helpers import backend_json, save_tokenizer
from workbench.core.errors import UserError
from workbench.pipeline.export.gguf_vocabulary import tokenizer_vocabulary
from workbench.pipeline.export.tokenizer_files import read_tokenizer
from workbench.pipeline.export.vocabulary_check import check_vocabulary, expected_ids, hard_texts
from workbench.pipeline.models.base_model import save_tokenizer as save
from workbench.pipeline.models.tokenizer_loading import load_tokenizer, saved_tokenizer

# (how the file splits, the class that tokenizer_config.json names, the model's type)
REBUILT = [
    ("pieces-prefix", "LlamaTokenizer", "llama"),
    ("deepseek-coder", "Qwen2Tokenizer", "llama"),
    ("smollm", "GPT2Tokenizer", "llama"),
    ("llama-bpe", "Qwen2Tokenizer", "qwen2"),
]


def base_of(folder: Path, kind: str, model_type: str, **config: Any) -> Path:
    save_tokenizer(folder, kind, 600 if kind == "pieces-prefix" else 1300, **config)
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    return folder


def ids(backend: Any) -> list[list[int]]:
    found = backend.encode_batch(hard_texts(()), add_special_tokens=False)
    return [one.ids for one in found]


def in_file(folder: Path) -> list[list[int]]:
    return ids(Tokenizer.from_file(str(folder / "tokenizer.json")))


@pytest.mark.parametrize(("kind", "name", "model_type"), REBUILT)
def test_a_class_that_tokenizes_otherwise_gives_way(
    kind: str, name: str, model_type: str, tmp_path: Path
) -> None:
    base = base_of(tmp_path / "base", kind, model_type, tokenizer_class=name, legacy=True)
    chosen = AutoTokenizer.from_pretrained(base)
    assert ids(chosen.backend_tokenizer) != in_file(base), "transformers would get it wrong"
    told = list[str]()
    tokenizer = load_tokenizer(base, ["<new>"], told.append)
    assert ids(tokenizer.backend_tokenizer) == in_file(base)
    (line,) = told
    assert "differently from tokenizer.json" in line and "\n" not in line
    assert (tokenizer.eos_token, tokenizer.pad_token) == (chosen.eos_token, chosen.pad_token)
    assert tokenizer.convert_tokens_to_ids("<new>") == len(tokenizer) - 1


@pytest.mark.parametrize(("kind", "name", "model_type"), REBUILT)
def test_what_was_saved_is_loaded_alike_by_all(
    kind: str, name: str, model_type: str, tmp_path: Path
) -> None:
    base = base_of(tmp_path / "base", kind, model_type, tokenizer_class=name, legacy=True)
    folder = tmp_path / "saved"
    save(load_tokenizer(base), {"default": "{{ messages }}"}, folder)
    (folder / "config.json").write_bytes((base / "config.json").read_bytes())
    expected = in_file(base)
    told = list[str]()
    loaders = [saved_tokenizer, lambda path: load_tokenizer(path, (), told.append)]
    if model_type == "llama":  # for others transformers takes its own class all the same
        loaders.append(AutoTokenizer.from_pretrained)
    for loaded in [load(folder) for load in loaders]:
        assert ids(loaded.backend_tokenizer) == expected
        assert loaded.eos_token and loaded.chat_template == "{{ messages }}"
    assert bool(told) == (model_type != "llama")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
    vocabulary = tokenizer_vocabulary(folder)
    check_vocabulary(vocabulary, expected_ids(read_tokenizer(folder), vocabulary)).require()


def test_a_class_that_agrees_stays(tmp_path: Path) -> None:
    base = base_of(tmp_path, "qwen2", "qwen2", tokenizer_class="Qwen2Tokenizer")
    values = json.loads(backend_json("qwen2", 1300)) | {"normalizer": {"type": "NFC"}}
    (base / "tokenizer.json").write_text(json.dumps(values))
    told = list[str]()
    tokenizer = load_tokenizer(base, (), told.append)
    assert type(tokenizer).__name__ == "Qwen2Tokenizer" and not told


def test_truncation_in_the_file_is_no_difference(tmp_path: Path) -> None:
    base = base_of(tmp_path, "gpt-2", "llama")
    cut = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    values = json.loads(backend_json("gpt-2", 1300)) | {"truncation": cut}
    (base / "tokenizer.json").write_text(json.dumps(values))
    told = list[str]()
    load_tokenizer(base, (), told.append)
    assert not told


def test_a_class_that_there_is_not_is_no_hindrance(tmp_path: Path) -> None:
    base = base_of(tmp_path / "base", "gpt-2", "llama", tokenizer_class="NovelTokenizer")
    assert ids(load_tokenizer(base).backend_tokenizer) == in_file(base)
    (base / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match="no tokenizer can be loaded") as caught:
        load_tokenizer(base)
    assert "\n" not in str(caught.value)
    (base / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="no tokenizer can be loaded"):
        load_tokenizer(base)
