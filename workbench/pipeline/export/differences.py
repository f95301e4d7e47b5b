"""Texts that llama.cpp tokenizes differently from training, whatever a GGUF file says.

Each kind is named, can be found in a text and taken out of one: the probes then prove that all else
is equal, and the data is searched for what is not. Sources: llama.cpp's src/llama-vocab.cpp (names
that it takes for special tokens, spaces around them, its expressions), the tokenizers library.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from workbench.core.text import listed
from workbench.tokenization.pretokenizers import DEVIATIONS, normalizer_kinds

SPACE = "\u2581"  # how SentencePiece writes a space

# llama.cpp makes the first token of each of these texts a special one, whatever its stored type.
READ_AS_END = frozenset(
    "<|eot_id|> <|im_end|> <|end|> <|return|> <|call|> <|flush|> <|calls|> <end_of_turn> "
    "<|endoftext|> </s> <|eom_id|> <EOT> _<EOT> [EOT] [EOS] <|end_of_text|> <end_of_utterance> "
    "<eos> <turn|> <|tool_response> <｜end▁of▁sentence｜> [e~[".split()
)
READ_AS_SPECIAL = READ_AS_END | frozenset(
    "<|fim_prefix|> <fim-prefix> <fim_prefix> <｜fim▁begin｜> <PRE> ▁<PRE> <|code_prefix|> "
    "<|prefix|> <|fim_suffix|> <fim-suffix> <fim_suffix> <｜fim▁hole｜> <SUF> ▁<SUF> "
    "<|code_suffix|> <|suffix|> <|fim_middle|> <fim-middle> <fim_middle> <｜fim▁end｜> <MID> "
    "▁<MID> <|code_middle|> <|middle|> <|fim_pad|> <fim-pad> <fim_pad> <PAD> [PAD] <|fim_repo|> "
    "<|repo_name|> <fim-repo> <REPO> <reponame> <|file_sep|>".split()
)


@dataclass(frozen=True)
class Difference:
    """A kind of text with different ids. `what` is a sentence for the person.

    `touches`: whether a rendered text is of this kind. `without`: the text made an ordinary one.
    `in_message`: whether the text of a message may make the rendered one touch; a wider net than
    `touches`. `allowed`: how many rows may hold it; with `any` it is only warned of. `ids_equal`:
    the ids are the same, and llama.cpp acts differently on them.
    """

    what: str
    touches: Callable[[str], bool]
    without: Callable[[str], str]
    in_message: Callable[[str], bool]
    allowed: Literal["any", "few", "none"] = "few"
    ids_equal: bool = False


def find_differences(
    backend: Mapping[str, Any],
    pre: str,
    ends: Collection[str],
    *,
    phi3: bool,
    opening: str,
    rows: int,
) -> tuple[Difference, ...]:
    """All kinds that concern a tokenizer.

    `backend`: its JSON; `pre`: llama.cpp's name for how it splits; `ends`: texts of the tokens that
    end a response; `phi3`: llama.cpp's rule for Phi-3 applies; `opening`: the token that a text has
    to begin with, `""` for none; `rows`: how many tokens have a row in the embedding.
    """
    every = list(backend.get("added_tokens", []))
    added = [token for token in every if token["id"] < rows]
    return tuple(
        found
        for found in (
            _composing(backend),
            _read_as_special(backend, added),
            *_without_row([token for token in every if token["id"] >= rows], rows),
            _ending(added, ends),
            _literal_space(backend, added),
            _stripping(added, phi3),
            _first_word(added, opening),
            _doubled_space(backend, added),
            _splitting(pre),
            _nul(backend),
        )
        if found
    )


def metaspace_scheme(backend: Mapping[str, Any]) -> str:
    """When a Metaspace step puts a space before a text: always, first or never; `""` without."""
    pre = backend.get("pre_tokenizer") or {}
    if pre.get("type") != "Metaspace":
        return ""
    return str(pre.get("prepend_scheme", "always"))


def without_differences(text: str, differences: Sequence[Difference]) -> str:
    """The text with nothing in it that llama.cpp tokenizes differently."""
    for difference in differences:
        if not difference.ids_equal:
            text = difference.without(text)
    return text


def names(texts: Collection[str]) -> str:
    """The first few of some texts, quoted, and how many more there are."""
    return listed([repr(text) for text in sorted(texts)])


def _composing(backend: Mapping[str, Any]) -> Difference | None:
    if "NFC" not in normalizer_kinds(backend.get("normalizer")):
        return None

    def touches(text: str) -> bool:
        return not unicodedata.is_normalized("NFC", text)

    what = "llama.cpp does not compose characters (NFC): decomposed text gets different ids"
    return Difference(what, touches, lambda text: unicodedata.normalize("NFC", text), touches)


def _read_as_special(
    backend: Mapping[str, Any], added: Sequence[Mapping[str, Any]]
) -> Difference | None:
    """Ordinary tokens by whose text llama.cpp takes them for special ones, as Qwen's `</s>`."""
    ordinary = set(backend["model"]["vocab"]) - {token["content"] for token in added}
    found = READ_AS_SPECIAL & ordinary
    if not found:
        return None
    what = f"llama.cpp reads {names(found)} as a special token; in training it is plain text"
    return _holding(what, found)


def _without_row(beyond: Sequence[Mapping[str, Any]], rows: int) -> Iterator[Difference]:
    """Added tokens beyond the embedding, as Gemma 3's for images: they are not in the file.

    Special ones stay text in a message; a plain one in the data could not be trained on.
    """
    for special in (True, False):
        found = {t["content"] for t in beyond if bool(t["special"]) == special}
        if found:
            what = f"the embedding has {rows} rows and none for {names(found)}: it is left out"
            yield _holding(what, found, allowed="any" if special else "none")


def _ending(added: Sequence[Mapping[str, Any]], ends: Collection[str]) -> Difference | None:
    """Tokens at which llama.cpp ends a response although the tokenizer calls them plain."""
    plain = {t["content"] for t in added if not t["special"]} - set(ends)
    found = READ_AS_END & plain
    if not found:
        return None
    what = f"llama.cpp ends a response at {names(found)}, a plain token in this tokenizer"
    return _holding(what, found, allowed="any", ids_equal=True)


def _literal_space(
    backend: Mapping[str, Any], added: Sequence[Mapping[str, Any]]
) -> Difference | None:
    """Tokens for runs of spaces, as Gemma's: stored with spaces, found only in place of these."""
    pieces = bool(backend["model"].get("byte_fallback"))
    if not pieces or not any(SPACE in t["content"] for t in added if not t["special"]):
        return None
    what = "llama.cpp does not find the token of a run of spaces that is written as U+2581"
    return _holding(what, {SPACE})


def _stripping(added: Sequence[Mapping[str, Any]], phi3: bool) -> Difference | None:
    """Spaces beside a special token that one of the two drops and the other keeps."""
    left = {t["content"] for t in added if t.get("lstrip")}
    stripping = {t["content"] for t in added if t.get("rstrip")}
    dropping = {t["content"] for t in added} - set(NOT_STRIPPING_IN_PHI3) if phi3 else set[str]()
    right = stripping ^ dropping
    if not left and not stripping | dropping:
        return None
    before, after, both = map(_any_of, (left, right, stripping & dropping))
    # Where both drop spaces, llama.cpp drops those of ASCII only.
    patterns = (
        re.compile(rf"(){_SPACES}(?={before})"),
        re.compile(rf"({after}){_SPACES}"),
        re.compile(rf"({both})[\t-\r ]*[^\S\t-\r ]\s*"),
    )
    loose = re.compile(rf"\A\s|\s\Z|\s{before}|{after}\s|{both}\s")

    def without(text: str) -> str:
        for pattern in patterns:
            text = pattern.sub(lambda found: found[1], text)
        return text

    what = f"llama.cpp {_how(left, right, dropping)}: such texts get different ids"
    return Difference(
        what,
        lambda text: any(pattern.search(text) for pattern in patterns),
        without,
        lambda text: loose.search(text) is not None,
    )


def _how(left: set[str], right: set[str], dropping: set[str]) -> str:
    """What llama.cpp does with which spaces."""
    if left or right - dropping:
        sides = " and ".join(side for side, some in (("before", left), ("after", right)) if some)
        return f"does not drop spaces {sides} {names(left | right)}"
    if right:
        return f"drops spaces after {names(right)}"
    return "drops spaces of ASCII only after special tokens"


_SPACES = r"\s+"
NOT_STRIPPING_IN_PHI3 = ("<unk>", "<s>", "<|endoftext|>")  # in llama.cpp, by name


def _first_word(added: Sequence[Mapping[str, Any]], opening: str) -> Difference | None:
    """A space before the first word of a text only: llama.cpp can do all or none."""
    if not opening:
        return None
    begins = re.compile(_any_of({t["content"] for t in added}))

    def touches(text: str) -> bool:
        return text != "" and begins.match(text) is None

    what = "llama.cpp adds no space before a text that starts without a special token"
    return Difference(
        what,
        touches,
        lambda text: opening + text if touches(text) else text,
        lambda text: False,
        allowed="any",
    )


def _doubled_space(
    backend: Mapping[str, Any], added: Sequence[Mapping[str, Any]]
) -> Difference | None:
    """Metaspace adds no space where there is one; llama.cpp always does."""
    if metaspace_scheme(backend) != "always":
        return None
    special = _any_of({t["content"] for t in added})
    pattern = re.compile(rf"(\A|{special})[ {SPACE}]+")
    what = "llama.cpp adds a space before a text that starts with one: such texts get different ids"
    return Difference(
        what,
        lambda text: pattern.search(text) is not None,
        lambda text: pattern.sub(lambda found: found[1], text),
        lambda text: text[:1] in (" ", SPACE) or pattern.search(text) is not None,
    )


def _splitting(pre: str) -> Difference | None:
    deviation = DEVIATIONS.get(pre)
    if deviation is None:
        return None
    touches = deviation.touches

    def found(text: str) -> bool:
        return not text.isascii() and any(map(touches, set(text)))

    what = f"llama.cpp splits {deviation.words} differently: such texts get different ids"
    return Difference(what, found, deviation.without, found)


def _nul(backend: Mapping[str, Any]) -> Difference | None:
    if not any("\0" in text for text in backend["model"]["vocab"]):
        return None
    what = "llama.cpp truncates tokens at a NUL character: texts with one get different ids"
    return _holding(what, {"\0"})


def _holding(
    what: str,
    found: Collection[str],
    *,
    allowed: Literal["any", "few", "none"] = "few",
    ids_equal: bool = False,
) -> Difference:
    """Texts that contain one of `found`."""
    pattern = re.compile(_any_of(found))

    def touches(text: str) -> bool:
        return pattern.search(text) is not None

    return Difference(
        what, touches, lambda text: pattern.sub("", text), touches, allowed, ids_equal
    )


def _any_of(texts: Collection[str]) -> str:
    """An expression for any of the texts, the longest first; one that never matches for none."""
    ordered = sorted(texts, key=lambda text: (-len(text), text))
    return f"(?:{'|'.join(map(re.escape, ordered))})" if ordered else "(?!)"
