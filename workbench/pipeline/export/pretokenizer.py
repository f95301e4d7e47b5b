"""llama.cpp's name (`tokenizer.ggml.pre`) for the way a byte-level BPE splits text.

llama.cpp's own converter recognises a tokenizer by a hash of the ids it gives to one text. Ids
depend on the vocabulary, so a tokenizer trained anywhere else is never recognised; the structure of
its JSON is what decides. A structure without an equivalent is refused: near is not equal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from workbench.errors import UserError

Step = tuple[str, str | bool]

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + _TAIL
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_QWEN35 = (
    _CONTRACTIONS
    + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|"
    + _TAIL
)
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_WORD_START = r"[^\r\n\p{L}\p{N}]?"
_TEKKEN = (
    rf"{_WORD_START}{_UPPER}*{_LOWER}+|{_WORD_START}{_UPPER}+{_LOWER}*|\p{{N}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + _TAIL
)
_GPT4O = (
    rf"{_WORD_START}{_UPPER}*{_LOWER}+{_CONTRACTIONS}?|{_WORD_START}{_UPPER}+{_LOWER}*"
    rf"{_CONTRACTIONS}?|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|" + _TAIL
)
_SPLITS: Step = ("bytes", True)  # ByteLevel with GPT-2's own expression
_BYTES: Step = ("bytes", False)  # ByteLevel that only maps bytes

# (steps in order, ignore_merges) -> tokenizer.ggml.pre
NAMES: dict[tuple[tuple[Step, ...], bool], str] = {
    ((_SPLITS,), False): "gpt-2",
    ((("digits", True), _SPLITS), False): "smollm",
    ((("split", r"\p{N}"), _SPLITS), False): "smollm",
    ((("split", _LLAMA3), _BYTES), True): "llama-bpe",
    ((("split", _LLAMA3), _BYTES), False): "smaug-bpe",
    ((("split", _QWEN2), _BYTES), False): "qwen2",
    ((("split", _QWEN35), _BYTES), False): "qwen35",
    ((("split", _TEKKEN), _BYTES), True): "tekken",
    ((("split", _GPT4O), _BYTES), False): "gpt-4o",
}


def pretokenizer_name(backend: Mapping[str, Any]) -> str:
    """The value of `tokenizer.ggml.pre` for a tokenizer's JSON. Raises UserError if none fits."""
    check_normalizer(backend.get("normalizer"))
    steps = _steps(backend.get("pre_tokenizer"))
    ignore_merges = bool(backend["model"].get("ignore_merges"))
    name = NAMES.get((steps, ignore_merges))
    if name is None:
        words = " + ".join(f"{kind}({value})" for kind, value in steps) or "none"
        raise UserError(f"llama.cpp has no pre-tokenizer like this one: {words[:200]}")
    return name


def check_normalizer(normalizer: Mapping[str, Any] | None) -> None:
    """Raise UserError for a normalizer other than none or NFC: llama.cpp applies none at all."""
    kinds = normalizer_kinds(normalizer)
    if any(kind != "NFC" for kind in kinds):
        raise UserError(f"llama.cpp does not normalise text as this tokenizer does: {kinds}")


def normalizer_kinds(normalizer: Mapping[str, Any] | None) -> list[str]:
    """The kinds of all normalizer steps, in order."""
    if normalizer is None:
        return []
    if normalizer["type"] == "Sequence":
        return [kind for step in normalizer["normalizers"] for kind in normalizer_kinds(step)]
    return [str(normalizer["type"])]


def _steps(pre: Mapping[str, Any] | None) -> tuple[Step, ...]:
    if pre is None:
        return ()
    kind = pre["type"]
    if kind == "Sequence":
        return tuple(step for part in pre["pretokenizers"] for step in _steps(part))
    if kind == "ByteLevel":
        if pre.get("add_prefix_space"):
            raise UserError("llama.cpp never puts a space before a text, add_prefix_space does")
        return (("bytes", bool(pre.get("use_regex", True))),)
    if kind == "Digits":
        return (("digits", bool(pre["individual_digits"])),)
    if kind == "Split" and pre.get("behavior") == "Isolated" and not pre.get("invert"):
        pattern = pre["pattern"]
        return (("split", str(pattern.get("Regex") or pattern.get("String"))),)
    raise UserError(f"llama.cpp has no pre-tokenizer like {json.dumps(pre)[:120]}")
