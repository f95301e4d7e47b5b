"""Tokenizers of every kind, trained in a moment on the texts that ship: no download.

A miniature's vocabulary is small and its own; how it splits, what it puts before a text and which
tokens it has for turns are the family's, because these are what training and export can get wrong.
"""

from __future__ import annotations

import json
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from workbench.pipeline.miniature.cards import Tokens
from workbench.preset.shipped import shipped_root

WORDS = 2048
SPACE = "\u2581"

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + _TAIL
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_START = r"[^\r\n\p{L}\p{N}]?"
_GPT4O = (
    rf"{_START}{_UPPER}*{_LOWER}+{_CONTRACTIONS}?|{_START}{_UPPER}+{_LOWER}*"
    rf"{_CONTRACTIONS}?|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|" + _TAIL
)
SPLITS = {"llama3": _LLAMA3, "qwen2": _LLAMA3.replace("{1,3}", ""), "gpt-4o": _GPT4O}


def train(tokens: Tokens) -> Tokenizer:
    """A tokenizer of that kind; the special tokens have the first ids."""
    pieces = tokens.splitting.startswith("pieces")
    tokenizer = _pieces(tokens) if pieces else _byte_level(tokens)
    tokenizer.add_special_tokens(_special(tokens))
    if tokens.bos:
        bos = tokenizer.token_to_id(tokens.bos)
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{tokens.bos} $A",
            pair=f"{tokens.bos} $A {tokens.bos} $B",
            special_tokens=[(tokens.bos, bos)],
        )
    return tokenizer


def _special(tokens: Tokens) -> list[Any]:
    return [
        AddedToken(text, special=True, normalized=False, rstrip=text in tokens.stripping)
        for text in tokens.special
    ]


def _byte_level(tokens: Tokens) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(ignore_merges=tokens.ignore_merges))
    if tokens.nfc:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = _splitter(tokens.splitting)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS,
        special_tokens=_special(tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    return tokenizer


def _splitter(name: str) -> Any:
    level = pre_tokenizers.ByteLevel
    if name == "smollm":
        digits = pre_tokenizers.Digits(individual_digits=True)
        return pre_tokenizers.Sequence([digits, level(add_prefix_space=False)])
    first = pre_tokenizers.Split(Regex(SPLITS[name]), "isolated")
    return pre_tokenizers.Sequence([first, level(add_prefix_space=False, use_regex=False)])


def _pieces(tokens: Tokens) -> Tokenizer:
    """SentencePiece's BPE as the tokenizers library writes it, with a token for every byte."""
    trained = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    trained.normalizer = normalizers.Replace(" ", SPACE)
    trained.pre_tokenizer = pre_tokenizers.Split(SPACE, "merged_with_next")
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS, special_tokens=_special(tokens), show_progress=False
    )
    trained.train_from_iterator(_texts(), trainer)
    values = json.loads(trained.to_str())
    words = values["model"]["vocab"]
    for byte in range(256):
        words[f"<0x{byte:02X}>"] = len(words)
    values["pre_tokenizer"] = None
    if tokens.splitting == "pieces-prefix":
        prepend = {"type": "Prepend", "prepend": SPACE}
        values["normalizer"] = {"type": "Sequence", "normalizers": [prepend, values["normalizer"]]}
    tokenizer = Tokenizer.from_str(json.dumps(values))
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    prefix = [decoders.Strip(" ", 1, 0)] if tokens.splitting == "pieces-prefix" else []
    tokenizer.decoder = decoders.Sequence([*steps, *prefix])
    return tokenizer


def _texts() -> list[str]:
    folder = shipped_root() / "data"
    files = sorted(folder.rglob("*.txt")) + sorted(folder.rglob("*.blop"))
    return [path.read_text(encoding="utf-8") for path in files[:200]]
