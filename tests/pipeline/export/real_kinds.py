"""Small tokenizers with what is peculiar to those of real models, built on the spot."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.pipeline.export.helpers import backend_json, save_tokenizer

BEYOND = "<image_soft_token>"


def save_kind(folder: Path, kind: str) -> Path:
    """The two files of a tokenizer of that kind."""
    splitting, change = KINDS[kind]
    save_tokenizer(folder, splitting, 600)
    values = json.loads(backend_json(splitting, 600))
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    change(values, config)
    (folder / "tokenizer.json").write_text(json.dumps(values), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def add(values: dict[str, Any], texts: Sequence[str], **flags: bool) -> None:
    """Further added tokens, with ids after all others; a text that is one gets other flags."""
    words, added = values["model"]["vocab"], values["added_tokens"]
    for text in texts:
        known = next((token for token in added if token["content"] == text), None)
        if known is None:
            last = max([*words.values(), *(token["id"] for token in added)])
            known = {"id": words.get(text, last + 1), "content": text, "special": False}
            known |= dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
            added.append(known)
        known.update(flags)


def _qwen(values: dict[str, Any], config: dict[str, Any]) -> None:
    """NFC, no BOS, and an ordinary token that llama.cpp takes for a special one."""
    values["normalizer"] = {"type": "NFC"}
    words = values["model"]["vocab"]
    words["</s>"] = max(words.values()) + 1


def _gemma(values: dict[str, Any], config: dict[str, Any]) -> None:
    """Tokens for runs of spaces and for HTML, unused ones, and one for images after all rows."""
    words, run = values["model"]["vocab"], "\u2581\u2581"
    words.setdefault(run, max(words.values()) + 1)
    values["model"]["merges"].insert(0, ["\u2581", "\u2581"])
    add(values, [run, "</s>", "<unused0>", "[multimodal]"])
    add(values, [BEYOND], special=True)


def _deepseek(values: dict[str, Any], config: dict[str, Any]) -> None:
    """Tokens that look special, are not, and hold U+2581 as a letter."""
    add(values, ["<｜fim▁hole｜>", "<｜tool▁sep｜>"])


PHI3_TOKENS = ("<|end|>", "<|user|>", "</s>")


def _phi3(values: dict[str, Any], config: dict[str, Any]) -> None:
    """Spaces after a special token belong to it, but for three."""
    add(values, ["<unk>", "<s>", "<|endoftext|>"], special=True)
    add(values, ["<pad>", "<eos>", "<bos>", *PHI3_TOKENS], special=True, rstrip=True)
    config |= {"eos_token": "<|endoftext|>", "bos_token": "<s>"}
    values["post_processor"] = None


def _phi3_added(values: dict[str, Any], config: dict[str, Any]) -> None:
    _phi3(values, config)
    add(values, ["<tool>"])


def _phi4(values: dict[str, Any], config: dict[str, Any]) -> None:
    """Spaces on both sides of a special token belong to it."""
    add(values, ["<|im_start|>", "<|im_end|>", "<|im_sep|>"], lstrip=True, rstrip=True)


def _legacy(values: dict[str, Any], config: dict[str, Any]) -> None:
    """As transformers saves Llama's tokenizer with `legacy: true`."""
    values["normalizer"] = None
    metaspace = {"type": "Metaspace", "replacement": "\u2581"}
    values["pre_tokenizer"] = {**metaspace, "prepend_scheme": "always", "split": False}


KINDS: Mapping[str, tuple[str, Callable[[dict[str, Any], dict[str, Any]], None]]] = {
    "qwen": ("qwen2", _qwen),
    "gemma": ("pieces", _gemma),
    "deepseek": ("deepseek-v3", _deepseek),
    "phi3": ("pieces", _phi3),
    "phi3-added": ("pieces", _phi3_added),
    "phi4": ("smaug-bpe", _phi4),
    "legacy": ("pieces-prefix", _legacy),
}
