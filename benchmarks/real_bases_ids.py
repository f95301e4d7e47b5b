"""Ids of many texts by the published tokenizer and by llama.cpp from the exported file.

Where they differ there must be a reason that is listed here and that lies in llama.cpp. A reason
says exactly what it changes: the same text with that change made (for llama.cpp, for the published
tokenizer, or for both) has to get equal ids, so that nothing else can hide behind it.
"""

from __future__ import annotations

import json
import random
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from benchmarks.real_bases_run import MORE_THINGS, PROMPT
from benchmarks.real_bases_sources import Sources
from benchmarks.real_bases_vocabulary import SPACE, Backend
from workbench.inference.gguf_header import read_header
from workbench.pipeline.export.vocabulary_check import HARD, hard_texts
from workbench.tokenization.pretokenizers import DEVIATIONS

LEAST = 700  # texts for each base
SEPARATOR = "\n__ggml_vocab_test__\n"
ADDED_MOST = 300  # added tokens that are probed, the first ones; Gemma 3 has six thousand
JOINED = 60  # texts of words from several hard ones
Encode = Callable[[str], list[int]]
Change = Callable[[str, Backend, str], str]


@dataclass
class Ids:
    """`texts` were compared; `explained` counts those that differ by reason, `others` are texts
    that differ for no reason listed."""

    texts: int = 0
    explained: dict[str, int] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Reason:
    """`given` changes the text that llama.cpp gets, `published` that of the tokenizer; equal ids
    then. Each takes the text, the tokenizer's JSON and llama.cpp's name for how it splits."""

    name: str
    given: Change
    published: Change = lambda text, backend, pre: text


def _composed(text: str, backend: Backend, pre: str) -> str:
    composes = "NFC" in json.dumps(backend["normalizer"])
    return unicodedata.normalize("NFC", text) if composes else text


def _no_escaped_space(text: str, backend: Backend, pre: str) -> str:
    return text.replace(SPACE, "") if backend["model"]["byte_fallback"] else text


def _no_ordinary_end(text: str, backend: Backend, pre: str) -> str:
    ordinary = "</s>" in backend["model"]["vocab"] and not backend["model"]["byte_fallback"]
    added = {token["content"] for token in backend["added_tokens"]}
    return text.replace("</s>", "") if ordinary and "</s>" not in added else text


def _no_deviating(text: str, backend: Backend, pre: str) -> str:
    deviation = DEVIATIONS.get(pre)
    return deviation.without(text) if deviation else text


def _stripped(text: str, backend: Backend, pre: str) -> str:
    """The text without the spaces that belong to the added tokens beside them."""
    for token in backend["added_tokens"]:
        if token["lstrip"] or token["rstrip"]:
            parts = text.split(token["content"])
            for i, part in enumerate(parts):
                part = part.rstrip() if token["lstrip"] and i + 1 < len(parts) else part
                parts[i] = part.lstrip() if token["rstrip"] and i else part
            text = token["content"].join(parts)
    return text


def _with_first_space(text: str, backend: Backend, pre: str) -> str:
    """One space before the first word, where no special token and no space opens the text."""
    scheme = (backend["pre_tokenizer"] or {}).get("prepend_scheme")
    opens = tuple(token["content"] for token in backend["added_tokens"])
    if scheme != "first" or not text or text.startswith((" ", SPACE, *opens)):
        return text
    return f" {text}"


REASONS = (
    Reason("llama.cpp composes no characters (NFC)", _composed),
    Reason("llama.cpp takes a literal U+2581 for a space", _no_escaped_space, _no_escaped_space),
    Reason(
        "llama.cpp makes an ordinary token </s> a special one", _no_ordinary_end, _no_ordinary_end
    ),
    Reason(
        "llama.cpp's expression splits these characters otherwise", _no_deviating, _no_deviating
    ),
    Reason("llama.cpp strips no spaces beside special tokens", _stripped),
    Reason("llama.cpp adds a space before every text or none", _with_first_space),
)


def compare_ids(tokenizer: Path, backend: Backend, gguf: Path, sources: Sources) -> Ids:
    """Ids of all probes by the published tokenizer and by llama.cpp from the exported file."""
    from tokenizers import Tokenizer

    from workbench.pipeline.export.gguf_logits import GgufLogits

    encode = Tokenizer.from_file(str(tokenizer)).encode
    texts = dict.fromkeys(probes(backend, sources))
    with GgufLogits(gguf) as native:
        return judge_ids(
            texts,
            lambda text: list(encode(text, add_special_tokens=False).ids),
            lambda text: list(native.ids(text)),
            backend,
            str(read_header(gguf).metadata["tokenizer.ggml.pre"]),
        )


def judge_ids(
    texts: Iterable[str], published: Encode, native: Encode, backend: Backend, pre: str
) -> Ids:
    """Each text's ids by both, and the reason where they differ."""
    found, explained = Ids(), Counter[str]()
    for text in texts:
        found.texts += 1
        if published(text) == native(text):
            continue
        for reasons in _that_concern(text, backend, pre):
            given, told = text, text
            for one in reasons:
                given, told = one.given(given, backend, pre), one.published(told, backend, pre)
            if published(told) == native(given):
                explained[" and ".join(one.name for one in reasons)] += 1
                break
        else:
            found.others.append(repr(text)[:80])
    found.explained = dict(explained)
    return found


def _that_concern(text: str, backend: Backend, pre: str) -> Iterator[Sequence[Reason]]:
    """Each reason that changes anything of the text, then two of them together, then three ..."""
    concern = [
        reason
        for reason in REASONS
        if reason.given(text, backend, pre) != text or reason.published(text, backend, pre) != text
    ]
    for count in range(1, len(concern) + 1):
        yield from combinations(concern, count)


def probes(backend: Backend, sources: Sources) -> Iterator[str]:
    """All texts that are compared: hard ones, llama.cpp's own, those of the run, added tokens."""
    yield from hard_texts(())
    texts = sources.llama_cpp / "models" / "ggml-vocab-qwen2.gguf.inp"
    own = texts.read_text(encoding="utf-8").split(SEPARATOR)
    yield from own
    yield from (PROMPT.format(thing) for thing in MORE_THINGS.split())
    added = [token["content"] for token in backend["added_tokens"][:ADDED_MOST]]
    yield from (f"{token}user\nHi{token}there {token}" for token in added)
    yield from joined([*HARD, *own])
    yield from (f"{added[0]}{text}{added[-1]}" for text in HARD)


def joined(texts: Iterable[str]) -> Iterator[str]:
    """Texts of words from several of the `texts`, the same every time."""
    words = [word for text in texts for word in text.split(" ")]
    rng = random.Random(0)
    for _ in range(JOINED):
        yield " ".join(rng.choices(words, k=rng.randint(2, 12)))
