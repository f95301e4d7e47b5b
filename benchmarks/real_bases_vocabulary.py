"""Turns vocabularies without a `tokenizer.json` into one: GGUFs, SentencePiece models, tekken.

The parts that such a file does not hold are known by name: the splitting of a byte-level BPE is
`PRETOKENIZERS[pre]`; merges follow from SentencePiece's scores and tekken's ranks,
as every pair of tokens that makes a token, in the order of what it makes.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.real_bases_pieces import BYTE, NORMAL, UNKNOWN, UNUSED, USER_DEFINED, Piece
from workbench.inference.gguf_header import read_header
from workbench.tokenization.pretokenizers import PRETOKENIZERS, Step

SPACE = "\u2581"
Backend = dict[str, Any]
_TEKKEN_SPECIAL = (  # the first file does not name them; these are Mistral Nemo's
    *("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
    *("[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "<pad>", "[PREFIX]", "[MIDDLE]"),
    "[SUFFIX]",
)
_ROW = re.compile(r"\[PAD\d+\]")  # how a GGUF fills the embedding's rows that have no token


def of_gguf(path: Path, prefix: str = "always") -> Backend:
    """The JSON of the tokenizer whose vocabulary a GGUF holds; `prefix` as for `of_pieces`."""
    start = "tokenizer.ggml."
    values = {key.removeprefix(start): value for key, value in read_header(path).metadata.items()}
    if values["model"] == "llama":
        parts = zip(values["tokens"], values["scores"], values["token_type"], strict=True)
        return of_pieces([Piece(*part) for part in parts], prefix)
    tokens: list[str] = values["tokens"]
    types: list[int] = values["token_type"]
    known = {text: i for i, text in enumerate(tokens) if types[i] == NORMAL}
    others = {
        i: (text, types[i] != USER_DEFINED)
        for i, text in enumerate(tokens)
        if types[i] not in (NORMAL, UNUSED) and not _ROW.fullmatch(text)
    }
    last = max(known.values())  # special tokens among the others are in the model's vocabulary too
    known |= {text: i for i, (text, _) in others.items() if i < last}
    return byte_level(known, values["merges"], others, str(values["pre"]))


def of_pieces(pieces: Sequence[Piece], prefix: str) -> Backend:
    """That of a SentencePiece model; `prefix`: where a space goes before a text.

    "always" (a normalizer, so after special tokens too), "first" (only before the first word) or
    "never".
    """
    vocabulary = {p.text: i for i, p in enumerate(pieces) if not _ROW.fullmatch(p.text)}
    special = {
        i: (piece.text, piece.type != USER_DEFINED)
        for i, piece in enumerate(pieces)
        if piece.type not in (NORMAL, BYTE, UNUSED) and not _ROW.fullmatch(piece.text)
    }
    made = [piece for piece in pieces if piece.type == NORMAL]
    made.sort(key=lambda piece: -piece.score)
    unknown = next(p.text for p in pieces if p.type == UNKNOWN or p.text == "<unk>")
    steps: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
    ]
    if prefix == "always":
        steps.insert(0, {"type": "Prepend", "prepend": SPACE})
    space = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "first", "split": False}
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    return _backend(
        model={
            "unk_token": unknown,
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": vocabulary,
            "merges": list(_merges([piece.text for piece in made], vocabulary)),
        },
        added=special,
        normalizer=None if prefix == "first" else {"type": "Sequence", "normalizers": steps},
        pre_tokenizer=space if prefix == "first" else None,
        decoder={
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                *([] if prefix == "never" else [strip]),
            ],
        },
    )


def of_tekken(path: Path) -> Backend:
    """That of one of Mistral's tekken files: special tokens come first, then byte strings."""
    told = json.loads(path.read_bytes())
    first = int(told["config"]["default_num_special_tokens"])
    rows = int(told["config"]["default_vocab_size"]) - first
    characters = _characters()
    texts = [
        "".join(characters[byte] for byte in base64.b64decode(entry["token_bytes"]))
        for entry in told["vocab"][:rows]
    ]
    vocabulary = {text: first + rank for rank, text in enumerate(texts)}
    named = dict(enumerate(_TEKKEN_SPECIAL))
    special = {i: (named.get(i, f"<SPECIAL_{i}>"), True) for i in range(first)}
    whole = {text: i for i, (text, _) in special.items()} | vocabulary
    return byte_level(whole, list(_merges(texts, vocabulary)), special, "tekken")


def byte_level(
    vocabulary: Mapping[str, int],
    merges: Iterable[Any],
    added: Mapping[int, tuple[str, bool]],
    pre: str,
) -> Backend:
    """That of a byte-level BPE split as llama.cpp's `pre` does; `added`: id -> (text, special)."""
    nfc = pre in ("qwen2", "qwen35", "command-r")
    steps, ignore_merges = PRETOKENIZERS[{"command-r": "smollm", "refact": "smollm"}.get(pre, pre)]
    space = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    return _backend(
        model={
            "unk_token": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": ignore_merges,
            "vocab": dict(vocabulary),
            "merges": list(merges),
        },
        added=added,
        normalizer={"type": "NFC"} if nfc else None,
        pre_tokenizer={"type": "Sequence", "pretokenizers": [_pre_step(step) for step in steps]},
        decoder=space,
    )


def adds_bos(backend: Backend, bos: str) -> None:
    """Let the tokenizer put its BOS before a text."""
    token = next(t["id"] for t in backend["added_tokens"] if t["content"] == bos)
    backend["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": bos, "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [
            {"SpecialToken": {"id": bos, "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": bos, "type_id": 1}},
            {"Sequence": {"id": "B", "type_id": 1}},
        ],
        "special_tokens": {bos: {"id": bos, "ids": [token], "tokens": [bos]}},
    }


def added_token(i: int, text: str, special: bool, strips: bool = False) -> dict[str, Any]:
    """A token of `added_tokens`; `strips`: spaces on both its sides belong to it."""
    return {
        "id": i,
        "content": text,
        "single_word": False,
        "lstrip": strips,
        "rstrip": strips,
        "normalized": False,
        "special": special,
    }


def _backend(*, model: dict[str, Any], added: Mapping[int, tuple[str, bool]], **parts: Any) -> Any:
    pieces = model["byte_fallback"]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            added_token(i, *added[i]) | {"normalized": not (pieces or added[i][1])}
            for i in sorted(added)
        ],
        "post_processor": None,
        **parts,
        "model": {
            "type": "BPE",
            "dropout": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            **model,
        },
    }


def _pre_step(step: Step) -> dict[str, Any]:
    kind, value = step
    if kind == "bytes":
        return {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": value,
        }
    if value == r"\p{N}":
        return {"type": "Digits", "individual_digits": True}
    return {
        "type": "Split",
        "pattern": {"Regex": value},
        "behavior": "Isolated",
        "invert": False,
    }


def _merges(made: Sequence[str], vocabulary: Mapping[str, int]) -> Iterable[tuple[str, str]]:
    for text in made:
        halves = [(text[:i], text[i:]) for i in range(1, len(text))]
        pairs = [(a, b) for a, b in halves if a in vocabulary and b in vocabulary]
        yield from sorted(pairs, key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))


def _characters() -> list[str]:
    """GPT-2's character for every byte: itself where it is printable, else one from 256 on."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare = iter(range(256, 512))
    return [chr(byte if byte in plain else next(spare)) for byte in range(256)]
