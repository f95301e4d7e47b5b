"""Ids of a text word by word, each word's remembered: the words of a language come again and again.

Of a byte-level BPE the pre-tokenizer cuts a text into words, and the ids of a word depend on that
word alone. Where the cut is one that is known here, `re` makes the same one, and only words that
were never seen go to the tokenizer's model. Invariant: the ids are those of the tokenizer itself.
So this is kept to tokenizers whose every part is known, which give the same ids for some hard
texts besides (`word_cache`), and to texts of characters that nothing normalizes and every version
of Unicode calls alike; all else is left to the tokenizer.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workbench.tokenization.sequences import TYPE

if TYPE_CHECKING:
    import tokenizers

REMEMBERED = 1 << 16  # words, some 16 MB; those that come first, as the frequent ones do
NEVER = "(?!)"
LONGEST = 48  # characters of a word that is remembered

_LETTERS = "A-Za-z\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u017e"
_NUMBERS = "0-9\u00b2\u00b3\u00b9\u00bc-\u00be"
_SPACE = "\t-\r \x85\xa0"
# Latin with its accents, and the dashes, quotes, arrows and frames of typography.
_SETTLED = re.compile("[\0-\u017e\u2010-\u2027\u2030-\u205e\u20ac\u2190-\u21ff\u2500-\u257f]*")

_GPT_2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CONTRACTED = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
# Every character of a text is in some word of each of these cuts.
_CUTS = {_GPT_2, _CONTRACTED + _REST, _CONTRACTED + "{1,3}" + _REST}  # Qwen's, Llama 3's
_DIGITS, _WHOLE = r"\p{N}|[^\p{N}]+", "(?s:.+)"
_CLASSES = {r"\p{L}": _LETTERS, r"\p{N}": _NUMBERS, r"\s": _SPACE}

_HARD = (
    "",
    " ",
    "  two  blanks, a\ttab \t\n\n  and\r\nlines \n ",
    "It's HE'LL don'T we'd'Ve 'round ''s x'",
    "v1.2.3 1234567 3x10 ½ ²³ 0,5€ 99%",
    "größer Ærø naïve µm ªº × ÷ ſ Ω Å",
    "a\u00a0b\u0085c\x1cd\x00e\u200bf\u3000",
    'def f(x_1):\n    """doc"""\n    return {"a": [x**2, -1]}  # !?\n\n\n',
    "— “quoted” … → ═╗ •",
    "日本語 🦊 é e\u0301",
)


def _visible() -> dict[int, int]:
    """The characters that byte-level tokenizers write for the bytes that cannot be seen (GPT-2)."""
    seen = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    return {byte: 0x100 + n for n, byte in enumerate(b for b in range(0x100) if b not in seen)}


_VISIBLE = _visible()


class WordCache:
    """The words that were seen, with their ids; see `word_cache`."""

    def __init__(
        self, cuts: list[re.Pattern[str]], added: dict[str, int], model: tokenizers.models.Model
    ) -> None:
        self._cut = cuts[0].findall if len(cuts) == 1 else _cut_in_turn(cuts)
        self._added = {name: array(TYPE, [number]).tobytes() for name, number in added.items()}
        names = sorted(added, key=len, reverse=True)
        self._names = re.compile(f"({'|'.join(map(re.escape, names)) or NEVER})")
        self._known = _Known(model)

    def encode(self, text: str) -> array[int] | None:
        """The ids of `text`; None for one that is to be left to the tokenizer."""
        if not (text.isascii() or _SETTLED.fullmatch(text)):
            return None
        found: list[bytes] = []
        pieces = iter(self._names.split(text))
        for plain in pieces:
            found += map(self._known.__getitem__, self._cut(plain))
            if name := next(pieces, ""):
                found.append(self._added[name])
        return array(TYPE, b"".join(found))


class _Known(dict[str, bytes]):
    """Words with their ids; one that is not there is asked for."""

    def __init__(self, model: tokenizers.models.Model) -> None:
        self._model = model

    def __missing__(self, word: str) -> bytes:
        bytes_as_text = word.encode().decode("latin-1").translate(_VISIBLE)
        ids = array(TYPE, (one.id for one in self._model.tokenize(bytes_as_text))).tobytes()
        if len(self) < REMEMBERED and len(word) <= LONGEST:
            self[word] = ids
        return ids


def build_word_cache(backend: tokenizers.Tokenizer) -> WordCache | None:
    """The memory for a tokenizer; None for one that does more than is known here."""
    cuts = _cuts(backend.pre_tokenizer)
    added = backend.get_added_tokens_decoder()
    known = (
        cuts
        and type(backend.model).__name__ == "BPE"
        and not getattr(backend.model, "dropout", None)
        and not backend.encode_special_tokens
        and _said(backend.normalizer) in ({}, {"type": "NFC"})
        and not any(t.lstrip or t.rstrip or t.single_word or t.normalized for t in added.values())
    )
    if not known:
        return None
    words = WordCache(
        cuts, {token.content: number for number, token in added.items()}, backend.model
    )
    hard = [*_HARD, *(f"a {token.content}b\n{token.content}" for token in added.values())]
    theirs = backend.encode_batch_fast(hard, add_special_tokens=False)
    ours = map(words.encode, hard)
    alike = all(
        one is None or one.tolist() == other.ids for one, other in zip(ours, theirs, strict=True)
    )
    return words if alike else None


def _cuts(pre_tokenizer: Any) -> list[re.Pattern[str]]:
    """The cuts that a pre-tokenizer makes, one after the other; none where one is not known."""
    told = _said(pre_tokenizer)
    parts = told.get("pretokenizers", []) if told.get("type") == "Sequence" else [told]
    if not parts or parts[-1].get("type") != "ByteLevel" or parts[-1].get("add_prefix_space"):
        return []
    sources = [_source(part) for part in parts]
    return [] if "" in sources else [_pattern(one) for one in sources if one != _WHOLE]


def _source(part: dict[str, Any]) -> str:
    """What `part` cuts by, as the tokenizers library writes it; "" where it is not known."""
    match part:
        case {"type": "ByteLevel", "use_regex": True, "add_prefix_space": False}:
            return _GPT_2
        case {"type": "ByteLevel", "use_regex": False, "add_prefix_space": False}:
            return _WHOLE
        case {"type": "Digits", "individual_digits": True}:
            return _DIGITS
        case {"type": "Split", "pattern": {"Regex": cut}, "behavior": how, "invert": inverted}:
            # "What is no word is removed" is another way to say it, as all of the text is words.
            known = (how, inverted) in (("Isolated", False), ("Removed", True))
            return cut if known and cut in _CUTS else ""
    return ""


def _pattern(source: str) -> re.Pattern[str]:
    """The same cut for `re`, of texts of the settled characters."""

    def plain(found: re.Match[str]) -> str:
        inside = found[0]
        for name, characters in _CLASSES.items():
            inside = inside.replace(name, characters)
        return inside if found[0].startswith("[") else f"[{inside}]"

    return re.compile(
        re.sub(r"\[[^]]*\]|\\p\{.\}|\\s", plain, source).replace(r"\S", f"[^{_SPACE}]")
    )


def _said(part: Any) -> dict[str, Any]:
    """What a part of a tokenizer says of itself; {} where there is none."""
    try:
        return {} if part is None else dict(json.loads(part.__getstate__()))
    except Exception:  # one written in Python has nothing to say
        return {"type": "unknown"}


def _cut_in_turn(cuts: list[re.Pattern[str]]) -> Callable[[str], list[str]]:
    """One cut after the other, each within the words of the one before."""

    def cut(text: str) -> list[str]:
        words = [text]
        for pattern in cuts:
            words = [part for word in words for part in pattern.findall(word)]
        return words

    return cut
