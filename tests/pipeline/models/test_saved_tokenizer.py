"""What `prepare` writes of a tokenizer is what other programs read it by."""

from __future__ import annotations

import copy
import json
from pathlib import Path

from tokenizers import AddedToken
from transformers import AutoTokenizer

from tests.pipeline.export.helpers import save_tokenizer as saved
from tests.tiny import CHATML, SAMPLE_TEXTS, SPECIAL, tokenizer
from workbench.pipeline.models.base_model import PLAIN_CLASS, save_tokenizer
from workbench.pipeline.models.tokenizer_loading import load_tokenizer, saved_tokenizer


def test_no_empty_template_hides_the_one_in_its_own_file(tmp_path: Path) -> None:
    """llama.cpp's converter looks in chat_template.jinja only where this key is missing."""
    save_tokenizer(copy.deepcopy(tokenizer()), {"default": CHATML}, tmp_path / "tokenizer")
    config = json.loads((tmp_path / "tokenizer" / "tokenizer_config.json").read_text())
    assert "chat_template" not in config
    assert (tmp_path / "tokenizer" / "chat_template.jinja").read_text() == CHATML


def test_the_added_tokens_stand_in_the_configuration_too(tmp_path: Path) -> None:
    """llama.cpp's converter and older tools take their kinds from there."""
    folder = tmp_path / "tokenizer"
    made = copy.deepcopy(tokenizer())
    made.add_tokens([AddedToken("<new>", normalized=False, special=False)])
    save_tokenizer(made, {"default": CHATML}, folder)
    found = json.loads((folder / "tokenizer_config.json").read_text())["added_tokens_decoder"]
    stored = json.loads((folder / "tokenizer.json").read_text())["added_tokens"]
    assert found == {str(one.pop("id")): one for one in stored}
    assert [one["content"] for one in found.values()] == [*SPECIAL, "<new>"]
    again = saved_tokenizer(folder)
    assert again.get_vocab() == made.get_vocab()
    assert again.backend_tokenizer.to_str() == made.backend_tokenizer.to_str()


def base_of(folder: Path, kind: str, **config: object) -> Path:
    """A base of Phi-4-mini's kind: model type phi3, and a tokenizer that splits as bytes."""
    saved(folder, kind, 1300, **config)
    (folder / "config.json").write_text(json.dumps({"model_type": "phi3"}))
    return folder


def test_the_base_s_class_is_named_where_it_tokenizes_the_same(tmp_path: Path) -> None:
    """llama.cpp's converter looks for tokenizer.model in a phi3 unless it is a GPT2Tokenizer."""
    base = base_of(tmp_path / "base", "gpt-4o", tokenizer_class="GPT2Tokenizer")
    loaded = load_tokenizer(base)
    expected = [loaded.backend_tokenizer.encode(text).ids for text in SAMPLE_TEXTS]
    save_tokenizer(loaded, {"default": CHATML}, tmp_path / "run", base=base)
    config = json.loads((tmp_path / "run" / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == "GPT2Tokenizer"
    assert not (tmp_path / "run" / "config.json").exists()
    (tmp_path / "run" / "config.json").write_bytes((base / "config.json").read_bytes())
    chosen = AutoTokenizer.from_pretrained(tmp_path / "run").backend_tokenizer
    assert [chosen.encode(text).ids for text in SAMPLE_TEXTS] == expected


def test_a_class_that_would_tokenize_otherwise_is_not_named(tmp_path: Path) -> None:
    base = base_of(tmp_path / "base", "smollm", tokenizer_class="GPT2Tokenizer")
    (base / "config.json").write_text(json.dumps({"model_type": "llama"}))
    save_tokenizer(load_tokenizer(base), {"default": CHATML}, tmp_path / "run", base=base)
    config = json.loads((tmp_path / "run" / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == PLAIN_CLASS
