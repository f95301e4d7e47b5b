"""The tokenizer of training as llama.cpp's vocabulary.

The source is the backend's JSON as it was in memory while training (`tokenizer.json` as saved by
training): transformers may replace parts of the file it reads, so the base's own file can differ.
Invariants: every id below the embedding's rows has exactly one text (llama.cpp aborts the process
on a duplicate); BOS and EOS are always written (llama.cpp takes id 11, or 1 and 2, for a missing
one); a tokenizer with no equivalent is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf import TokenType

from workbench.errors import UserError
from workbench.pipeline.export.pretokenizer import normalizer_kinds, pretokenizer_name
from workbench.pipeline.export.splits import DEVIATIONS

SPACE = "\u2581"  # how SentencePiece writes a space
_PHI3 = re.compile(r"(phi)-?3", re.IGNORECASE)
_NOT_STRIPPING = ("<unk>", "<s>", "<|endoftext|>")  # in Phi-3, and in llama.cpp by name
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


@dataclass(frozen=True)
class TokenizerFiles:
    """What training saved: the backend's JSON text and tokenizer_config.json."""

    folder: Path
    backend_json: str
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Vocabulary:
    """What goes into a GGUF. `scores` belong to `model` llama, `merges` to gpt2."""

    model: str
    pre: str
    tokens: list[str]
    types: list[int]
    scores: list[float]
    merges: list[str]
    special: Mapping[str, int]  # bos, eos, and as far as there are: unk, pad, eot
    has_bos: bool
    add_bos: bool
    add_eos: bool
    add_space_prefix: bool
    opening: str  # what a text begins with where its first word is treated alike, mostly nothing
    phi3: bool  # spaces after a special token belong to it; llama.cpp has that for Phi-3 only
    swallowing: tuple[str, ...]  # tokens that do so too, but not in llama.cpp
    added: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def bos_token(self) -> str:
        """The text of BOS, `""` when the tokenizer has none."""
        return self.tokens[self.special["bos"]] if self.has_bos else ""

    @property
    def eos_token(self) -> str:
        return self.tokens[self.special["eos"]]

    @property
    def control_tokens(self) -> list[str]:
        """Texts of the special tokens."""
        kinds = zip(self.tokens, self.types, strict=True)
        return [token for token, kind in kinds if kind == TokenType.CONTROL]


def read_tokenizer(folder: Path) -> TokenizerFiles:
    """The tokenizer files in `folder`. Raises UserError when one is missing or damaged."""
    backend = folder / "tokenizer.json"
    config = folder / "tokenizer_config.json"
    for path in (backend, config):
        if not path.is_file():
            raise UserError("the tokenizer needs this file", path=path)
    try:
        values = json.loads(config.read_bytes())
        return TokenizerFiles(folder, backend.read_text(encoding="utf-8"), values)
    except ValueError:
        raise UserError("the tokenizer's configuration is damaged", path=config) from None


def read_vocabulary(files: TokenizerFiles, rows: int, end_of_turn: str = "") -> Vocabulary:
    """The vocabulary for a model with `rows` embedding rows.

    `end_of_turn`: text of the token that ends an answer when it is not the EOS token.
    Raises UserError, with the file, for what llama.cpp cannot do alike.
    """
    try:
        return _Reader(files, rows, end_of_turn).vocabulary()
    except UserError as error:
        if error.path is not None:
            raise
        path = files.folder / "tokenizer.json"
        raise UserError(error.message, path=path, hint=error.hint) from None


def tokenizer_vocabulary(folder: Path, end_of_turn: str = "") -> Vocabulary:
    """The vocabulary of the tokenizer in `folder` alone, without a model's unused rows."""
    found = read_tokenizer(folder)
    rows = max(plain_backend(found).get_vocab(with_added_tokens=True).values()) + 1
    return read_vocabulary(found, rows, end_of_turn)


def write_vocabulary(writer: Any, vocabulary: Vocabulary, chat_template: str) -> None:
    """Write all tokenizer keys. An empty `chat_template` is left out."""
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.model == "llama":
        writer.add_token_scores(vocabulary.scores)
        writer.add_add_space_prefix(vocabulary.add_space_prefix)
    else:
        writer.add_token_merges(vocabulary.merges)
    for name, token in vocabulary.special.items():
        getattr(writer, f"add_{name}_token_id")(token)
    writer.add_add_bos_token(vocabulary.add_bos)
    writer.add_add_eos_token(vocabulary.add_eos)
    if chat_template:
        writer.add_chat_template(chat_template)


def model_name(name: str, vocabulary: Vocabulary) -> str:
    """The name to write for a model: llama.cpp tells by it whether special tokens strip spaces.

    GGUF has no key for that; a name with `phi-3` or `phi3` in it does it, and no other does.
    """
    if vocabulary.phi3:
        return name if _PHI3.search(name) else f"{name} (phi-3)"
    return _PHI3.sub(r"\1 3", name)


class _Reader:
    """Takes one backend JSON apart."""

    def __init__(self, files: TokenizerFiles, rows: int, end_of_turn: str) -> None:
        self.files, self.rows, self.end_of_turn = files, rows, end_of_turn
        try:
            self.backend = json.loads(files.backend_json)
            self.model = self.backend["model"]
            self.added = {t["id"]: t for t in self.backend.get("added_tokens", [])}
            self.kind = str(self.model["type"])
        except (ValueError, KeyError, TypeError):
            raise UserError("not a tokenizer of the tokenizers library") from None
        self.ids = {t["content"]: i for i, t in self.added.items()}
        self._pre = ""

    def vocabulary(self) -> Vocabulary:
        self._refuse()
        pieces = bool(self.model.get("byte_fallback"))
        self._pre = "default" if pieces else pretokenizer_name(self.backend)
        tokens, types = self._tokens(pieces)
        special = self._special()
        merges = [self._merge(merge) for merge in self.model["merges"]]
        add_bos, add_eos = self._adds(special)
        return Vocabulary(
            model="llama" if pieces else "gpt2",
            pre=self._pre,
            tokens=tokens,
            types=types,
            scores=_scores(tokens, types, merges) if pieces else [],
            merges=[] if pieces else merges,
            special=special,
            has_bos=self._id_of("bos") is not None,
            add_bos=add_bos,
            add_eos=add_eos,
            add_space_prefix=pieces and self._prefixes_space(),
            opening=self._opening(),
            phi3=self._is_phi3(),
            swallowing=() if self._is_phi3() else tuple(sorted(self._stripping())),
            added=tuple(t["content"] for t in self.added.values()),
            warnings=tuple(self._warnings()),
        )

    def _refuse(self) -> None:
        if self.kind != "BPE":
            raise UserError(f"{self.kind} tokenizers are not supported", hint="BPE has")
        for option in ("continuing_subword_prefix", "end_of_word_suffix"):
            if self.model.get(option):
                raise UserError(f"llama.cpp's BPE has no {option}")

    def _tokens(self, pieces: bool) -> tuple[list[str], list[int]]:
        texts = {i: text for text, i in self.model["vocab"].items()}
        highest = max([*texts, *self.added], default=-1)
        if highest >= self.rows:
            message = f"token id {highest} is beyond the {self.rows} rows of the embedding"
            raise UserError(message, hint="save the resized embedding with the adapter")
        tokens, types = [], []
        taken = set(texts.values()) | set(self.ids)
        for i in range(self.rows):
            text, kind = self._token(i, texts.get(i), pieces)
            while kind == TokenType.UNUSED and text in taken:
                text += "_"
            tokens.append(text)
            types.append(int(kind))
        _refuse_duplicates([_as_c_string(text) for text in tokens])
        return tokens, types

    def _token(self, i: int, text: str | None, pieces: bool) -> tuple[str, Any]:
        added = self.added.get(i)
        if added is not None:
            content = str(added["content"])
            control = added["special"] or (content.startswith("<|") and content.endswith("|>"))
            if control:
                return content, TokenType.CONTROL
            return content.replace(SPACE, " "), TokenType.USER_DEFINED
        if text is None:
            return f"[PAD{i}]", TokenType.UNUSED
        if pieces and _BYTE.fullmatch(text):
            return text, TokenType.BYTE
        return text, TokenType.NORMAL

    def _merge(self, merge: str | list[str]) -> str:
        if isinstance(merge, str):
            return merge
        if any(" " in part for part in merge):
            raise UserError(f"a merge with a space inside: {merge!r}")
        return " ".join(merge)

    def _special(self) -> dict[str, int]:
        found = {name: self._id_of(name) for name in ("bos", "eos", "unk", "pad")}
        if found["eos"] is None:
            hint = "set eos_token in tokenizer_config.json"
            raise UserError("the tokenizer names no end-of-sequence token", hint=hint)
        found["bos"] = found["eos"] if found["bos"] is None else found["bos"]
        if self.end_of_turn:
            if self.end_of_turn not in self.ids:
                raise UserError(f"the end of turn {self.end_of_turn!r} is not a special token")
            if self.ids[self.end_of_turn] != found["eos"]:
                found["eot"] = self.ids[self.end_of_turn]
        return {name: i for name, i in found.items() if i is not None}

    def _id_of(self, name: str) -> int | None:
        token = self.files.config.get(f"{name}_token")
        content = token.get("content") if isinstance(token, Mapping) else token
        return None if content is None else self.ids.get(content, self.model["vocab"].get(content))

    def _adds(self, special: Mapping[str, int]) -> tuple[bool, bool]:
        """Whether the tokenizer puts BOS before and EOS after a text; found by asking it."""
        encode = plain_backend(self.files).encode
        plain, whole = (encode("a", add_special_tokens=s).ids for s in (False, True))
        start = next(i for i in range(len(whole)) if whole[i : i + len(plain)] == plain)
        before, after = whole[:start], whole[start + len(plain) :]
        if before not in ([], [special["bos"]]) or after not in ([], [special["eos"]]):
            raise UserError("it adds more than BOS and EOS to a text")
        return bool(before), bool(after)

    def _prefixes_space(self) -> bool:
        """Whether a space goes before a text; refuses what is no SentencePiece-like splitting."""
        normalizer = normalizer_kinds(self.backend.get("normalizer"))
        pre = self.backend.get("pre_tokenizer") or {}
        if pre.get("type") == "Metaspace" and not normalizer and not pre.get("split", True):
            scheme = pre.get("prepend_scheme", "always")
            return bool(scheme == "always")
        harmless = pre.get("type") in (None, "Split") and self._splits_at_spaces(pre)
        if normalizer not in (["Replace"], ["Prepend", "Replace"]) or not harmless:
            raise UserError("llama.cpp has no equivalent for the way this tokenizer splits text")
        return "Prepend" in normalizer

    def _first_word_only(self) -> bool:
        """A space goes before the first word of a text, and not after special tokens.

        llama.cpp can do both or neither. A rendered conversation begins with a special token.
        """
        pre = self.backend.get("pre_tokenizer") or {}
        return pre.get("type") == "Metaspace" and pre.get("prepend_scheme") == "first"

    def _opening(self) -> str:
        if not self._first_word_only():
            return ""
        opening = self._id_of("bos")
        if opening is None:
            raise UserError("it adds a space before the first word only, and there is no BOS token")
        return str(self.added[opening]["content"])

    def _splits_at_spaces(self, pre: Mapping[str, Any]) -> bool:
        """Spaces were replaced before, so that a split at them finds nothing to do."""
        return not pre or pre.get("pattern") == {"String": " "}

    def _stripping(self) -> set[str]:
        return {t["content"] for t in self.added.values() if t.get("rstrip")}

    def _is_phi3(self) -> bool:
        """Whether llama.cpp's rule for Phi-3 fits: all added tokens strip but three."""
        wanted = set(self.ids) - set(_NOT_STRIPPING)
        known = set(_NOT_STRIPPING) | {"</s>"} <= set(self.ids)
        return known and self._stripping() == wanted

    def _warnings(self) -> Iterable[str]:
        if "NFC" in normalizer_kinds(self.backend.get("normalizer")):
            yield "llama.cpp does not compose characters (NFC): decomposed text gets other ids"
        if self._stripping() and not self._is_phi3():
            first = min(self._stripping())
            yield f"llama.cpp does not strip spaces after {first}: such texts get other ids"
        if self._first_word_only():
            yield "llama.cpp adds no space before a text that starts without a special token"
        deviation = DEVIATIONS.get(self._pre)
        if deviation:
            yield f"llama.cpp splits {deviation.words} differently: such texts get other ids"
        if any("\0" in text for text in self.model["vocab"]):
            yield "llama.cpp cuts tokens at a NUL character: texts with one get other ids"


def plain_backend(files: TokenizerFiles) -> Any:
    """The tokenizer of the tokenizers library, with truncation and padding switched off."""
    from tokenizers import Tokenizer

    backend = Tokenizer.from_str(files.backend_json)
    backend.no_truncation()
    backend.no_padding()
    return backend


def _as_c_string(text: str) -> str:
    """What llama.cpp keeps of a token's text: it ends at a NUL."""
    return text.partition("\0")[0]


def _refuse_duplicates(tokens: list[str]) -> None:
    seen = dict[str, int]()
    for i, text in enumerate(tokens):
        if seen.setdefault(text, i) != i:
            raise UserError(f"tokens {seen[text]} and {i} have the same text {text!r}")


def _scores(tokens: list[str], types: list[int], merges: list[str]) -> list[float]:
    """Minus the rank of the merge that makes the token: SentencePiece's search then merges in the
    order of BPE. A piece that no merge makes is never made."""
    ranks = dict[str, int]()
    for rank, merge in enumerate(merges):
        ranks.setdefault(merge.replace(" ", "", 1), rank)
    never = -1e6
    return [
        0.0 if kind == TokenType.CONTROL else float(-ranks[text]) if text in ranks else never
        for text, kind in zip(tokens, types, strict=True)
    ]
