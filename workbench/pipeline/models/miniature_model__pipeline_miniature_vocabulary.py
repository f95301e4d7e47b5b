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

from workbench.tokenization.pretokenizers import SPLITTINGS
from workbench.architectures.miniature_config import Tokens
from workbench.preset.lookup import shipped_root

WORDS = 2048
SPACE = "\u2581"


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
    steps, ignore_merges = SPLITTINGS[tokens.splitting]
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if tokens.nfc:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([_step(*step) for step in steps])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS,
        special_tokens=_special(tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    return tokenizer


def _step(kind: str, value: Any) -> Any:
    if kind == "bytes":
        return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=value)
    return pre_tokenizers.Split(Regex(value), "isolated")


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
    if tokens.splitting == "pieces-first":
        metaspace = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "first"}
        values |= {"normalizer": None, "pre_tokenizer": {**metaspace, "split": False}}
    tokenizer = Tokenizer.from_str(json.dumps(values))
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    prefix = [decoders.Strip(" ", 1, 0)] if tokens.splitting != "pieces" else []
    tokenizer.decoder = decoders.Sequence([*steps, *prefix])
    return tokenizer


def _texts() -> list[str]:
    folder = shipped_root() / "data"
    files = sorted(folder.rglob("*.txt")) + sorted(folder.rglob("*.blop"))
    return [path.read_text(encoding="utf-8") for path in files[:200]]
