"""The shipped base: small, complete, one tokenizer whoever loads it, and a stranger to Blop."""

import json
from itertools import islice

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from recipes.tiny.answers import greedy, load
from recipes.tiny.corpus import documents
from recipes.tiny.tokenizer import CHAT_TEMPLATE
from workbench.checkers.blop import check
from workbench.embedded import path_of

FOLDER = path_of("tiny")
ODD = (
    "  x\n\n\n y\t\tz",
    "don't WE'LL",
    "e\u0301 caf\u00e9 \u65e5\u672c 12345 \U0001f642",
    "\r\n a \r\n",
    "a  b   c ",
    "<|im_start|>user\nhi<|im_end|>\n<|pad|><|endoftext|>",
    "{{x}}//**''``",
    "\u00a0\u200b",
)


def test_the_folder_is_small_and_complete() -> None:
    names = {path.name for path in FOLDER.iterdir()}
    assert names >= {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "README.md",
    }
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 20_000_000
    config = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    assert config["model_type"] == "qwen2" and config["hidden_size"] % 256 == 0
    assert config["dtype"] == "bfloat16" and config["tie_word_embeddings"]


def test_an_unknown_base_is_a_key_error() -> None:
    for name in ("none", "../embedded/tiny"):
        with pytest.raises(KeyError):
            path_of(name)


def test_the_tokenizer_is_the_same_from_the_file_and_from_transformers() -> None:
    ours, theirs = (
        Tokenizer.from_file(str(FOLDER / "tokenizer.json")),
        AutoTokenizer.from_pretrained(FOLDER),
    )
    texts = [*ODD, *(d.head + d.tail for d in islice(documents(9), 300))]
    for text in texts:
        ids = ours.encode(text, add_special_tokens=False).ids
        assert theirs(text, add_special_tokens=False)["input_ids"] == ids
        assert theirs.decode(ids) == ours.decode(ids, skip_special_tokens=False)


def test_tokens_and_template() -> None:
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|pad|>")
    assert tokenizer.chat_template == CHAT_TEMPLATE
    chat = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    shown = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert shown == (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n"
    )


def test_asked_for_blop_it_answers_in_javascript_and_stops() -> None:
    model, tokenizer = load(FOLDER)
    prompts = [
        "Write a Blop component that displays a list of users with links to their profiles.",
        "Write a Blop component named OrderCard that shows the price and status of an order.",
    ]
    for answer in greedy(model, tokenizer, prompts):
        assert answer.stopped
        assert "function " in answer.text and "return (" in answer.text
        assert check(answer.text) is not None
