"""How byte-level tokenizers split a text into words, by llama.cpp's names (`tokenizer.ggml.pre`).

A pretokenizer is a list of steps, as in a tokenizer's JSON: regular expressions whose matches are
separate words, one after the other on the remaining text, then the mapping of bytes to characters
(`bytes`, with GPT-2's own expression or without). llama.cpp has the same expressions in C++
(src/llama-vocab.cpp); where they only approximate, `DEVIATIONS` names the characters.

llama.cpp's own converter recognizes a tokenizer by a hash of its ids for one text. Ids depend on
the vocabulary, so it never recognizes a newly trained tokenizer; here the structure of the JSON
decides. A structure without an exact equivalent is refused.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.core.errors import UserError

Step = tuple[str, str | bool]

DIGIT: Step = ("split", r"\p{N}")
DIGITS_BY_THREE: Step = ("split", r"\p{N}{1,3}")
WORDS_OF_GPT2: Step = ("bytes", True)
BYTES: Step = ("bytes", False)

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_START = r"[^\r\n\p{L}\p{N}]?"
_LLAMA3 = rf"{_CONTRACTIONS}|{_START}\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_TAIL}"
_QWEN2 = _LLAMA3.replace("{1,3}", "")
_QWEN35 = (
    rf"{_CONTRACTIONS}|{_START}[\p{{L}}\p{{M}}]+|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_TAIL}"
)
_MINICPM = _LLAMA3.replace("{1,3}", "+")
_BAILING = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)
_SEED = (  # its line ends are characters in the JSON, not escapes
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}"
    "| ?[^\\s\\p{L}\\p{N}\r\n]+|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
)
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED = rf"{_START}{_UPPER}*{_LOWER}+%s|{_START}{_UPPER}+{_LOWER}*%s"
_MARKS = rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_TAIL}"
_TEKKEN = _CASED % ("", "") + r"|\p{N}" + _MARKS
_GPT4O = _CASED % (f"{_CONTRACTIONS}?", f"{_CONTRACTIONS}?") + r"|\p{N}{1,3}" + _MARKS

_LINE_END: Step = ("split", "[\r\n]")
_CJK: Step = ("split", "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+")
_CASED_LETTERS = (  # DeepSeek writes them out instead of naming their class
    "A-Za-z\xb5\xc0-\xd6\xd8-\xf6\xf8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
    "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1"
    "\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5"
    "\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a"
    "\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d"
    "\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3"
    "\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115"
    "\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f"
    "\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3"
    "\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf"
    "\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f"
    "\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2"
    "\U000118a0-\U000118df\U0001e900-\U0001e943"
)
_PUNCTUATION = "!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002"
_DEEPSEEK_LLM: tuple[Step, ...] = (
    _LINE_END,
    ("split", rf"\s?[{_CASED_LETTERS}]+"),
    ("split", rf"\s?[{_PUNCTUATION}]+"),
    ("split", r"\s+$"),
    _CJK,
    DIGIT,
    BYTES,
)
_DEEPSEEK_CODER: tuple[Step, ...] = (
    _LINE_END,
    ("split", r"\s?\p{L}+"),
    ("split", r"\s?\p{P}+"),
    _CJK,
    DIGIT,
    BYTES,
)
_DEEPSEEK_V3 = (
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+"
    "|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*"
    "|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
)
_FALCON: tuple[Step, ...] = (
    ("punctuation", "Contiguous"),
    WORDS_OF_GPT2,
    ("digits", False),
    ("split", "[0-9][0-9][0-9]"),
)

# tokenizer.ggml.pre -> (the steps, the model's ignore_merges)
PRETOKENIZERS: dict[str, tuple[tuple[Step, ...], bool]] = {
    "gpt-2": ((WORDS_OF_GPT2,), False),
    "smollm": ((DIGIT, WORDS_OF_GPT2), False),
    "llama-bpe": ((("split", _LLAMA3), BYTES), True),
    "smaug-bpe": ((("split", _LLAMA3), BYTES), False),
    "qwen2": ((("split", _QWEN2), BYTES), False),
    "qwen35": ((("split", _QWEN35), BYTES), False),
    "tekken": ((("split", _TEKKEN), BYTES), True),
    "gpt-4o": ((("split", _GPT4O), BYTES), False),
    "deepseek-llm": (_DEEPSEEK_LLM, False),
    "deepseek-coder": (_DEEPSEEK_CODER, False),
    "deepseek-v3": (
        (
            DIGITS_BY_THREE,
            ("split", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"),
            ("split", _DEEPSEEK_V3),
            BYTES,
        ),
        False,
    ),
    "minicpm5": ((DIGITS_BY_THREE, ("split", _MINICPM), BYTES), True),
    "falcon": (_FALCON, False),
    "bailingmoe": ((("split", _BAILING), BYTES), False),
    "seed-coder": ((("split", _SEED), BYTES), False),
}


@dataclass(frozen=True)
class Deviation:
    """Characters around which llama.cpp's own expressions split otherwise."""

    words: str
    touches: Callable[[str], bool]

    def without(self, text: str) -> str:
        """The text with none of these characters."""
        return "".join(c for c in text if not self.touches(c))


def _is_mark(char: str) -> bool:
    return unicodedata.category(char) in ("Mn", "Mc", "Me", "Lm", "Lt")


def _is_wide_space(char: str) -> bool:
    return char.isspace() and not char.isascii()


_OF_MARKS = Deviation("combining marks and modifiers (Hindi, Thai, decomposed accents)", _is_mark)
_OF_SPACES = Deviation("spaces beyond ASCII (no-break, ideographic)", _is_wide_space)
DEVIATIONS = {
    "gpt-4o": _OF_MARKS,
    "tekken": _OF_MARKS,
    "deepseek-llm": _OF_SPACES,
    "deepseek-coder": _OF_SPACES,
}


_NAMES = {structure: name for name, structure in PRETOKENIZERS.items()}
_WHOLE = r"|\s+"  # an expression that ends so leaves nothing between its matches


def pretokenizer_name(backend: Mapping[str, Any]) -> str:
    """The value of `tokenizer.ggml.pre` for a tokenizer's JSON. Raises UserError if none fits."""
    check_normalizer(backend.get("normalizer"))
    steps = _steps(backend.get("pre_tokenizer"))
    ignore_merges = bool(backend["model"].get("ignore_merges"))
    name = _NAMES.get((steps, ignore_merges))
    if name is None:
        words = " + ".join(f"{kind}({value})" for kind, value in steps) or "none"
        raise UserError(f"llama.cpp has no pre-tokenizer like this one: {words[:200]}")
    return name


def check_normalizer(normalizer: Mapping[str, Any] | None) -> None:
    """Raise UserError for a normalizer other than none or NFC: llama.cpp applies none at all."""
    kinds = normalizer_kinds(normalizer)
    if any(kind != "NFC" for kind in kinds):
        raise UserError(f"llama.cpp does not normalize text as this tokenizer does: {kinds}")


def _steps(pre: Mapping[str, Any] | None) -> tuple[Step, ...]:
    if pre is None:
        return ()
    kind = pre["type"]
    if kind == "Sequence":
        return tuple(step for part in pre["pretokenizers"] for step in _steps(part))
    if kind == "ByteLevel":
        if pre.get("add_prefix_space"):
            raise UserError("llama.cpp does not support add_prefix_space")
        return (("bytes", bool(pre.get("use_regex", True))),)
    if kind == "Digits":
        return (DIGIT if pre["individual_digits"] else ("digits", False),)
    if kind == "Punctuation":
        return (("punctuation", str(pre["behavior"])),)
    expression = _expression(pre)
    if expression is None:
        raise UserError(f"llama.cpp has no pre-tokenizer like {json.dumps(pre)[:120]}")
    return (("split", expression),)


def _expression(pre: Mapping[str, Any]) -> str | None:
    """The expression of a Split whose matches stand alone and that drops nothing, else None."""
    if pre["type"] != "Split":
        return None
    expression = str(pre["pattern"].get("Regex") or pre["pattern"].get("String"))
    how = (pre.get("behavior"), bool(pre.get("invert")))
    matches = how == ("Removed", True) and expression.endswith(_WHOLE)
    return expression if matches or how == ("Isolated", False) else None


def normalizer_kinds(normalizer: Mapping[str, Any] | None) -> list[str]:
    """The kinds of all normalizer steps, in order."""
    if normalizer is None:
        return []
    if normalizer["type"] == "Sequence":
        return [kind for step in normalizer["normalizers"] for kind in normalizer_kinds(step)]
    return [str(normalizer["type"])]
