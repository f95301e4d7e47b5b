"""The tokenizer of training as llama.cpp's vocabulary.

The source is the backend's JSON as it was in memory while training (`tokenizer.json` as saved by
training): transformers may replace parts of the file it reads, so the base's own file can differ.
Invariants: every id below the embedding's rows has exactly one text (llama.cpp aborts the process
on a duplicate); BOS and EOS are always written (llama.cpp takes id 11, or 1 and 2, for a missing
one); a tokenizer with no equivalent is refused. Types are those of llama.cpp's own converter
(conversion/base.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gguf import TokenType

from workbench.core.errors import UserError
from workbench.pipeline.export.differences import (
    NOT_STRIPPING_IN_PHI3,
    SPACE,
    find_differences,
    metaspace_scheme,
)
from workbench.pipeline.export.tokenizer_files import TokenizerFiles, read_tokenizer
from workbench.pipeline.export.vocabulary import Vocabulary
from workbench.tokenization.pretokenizers import normalizer_kinds, pretokenizer_name

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_LOOKS_SPECIAL = re.compile(
    r"<\|.*\|>|<｜.*｜>|<unused.*>|<pad>|<mask>|<2mass>|\[@BOS@\]", re.DOTALL
)


def read_vocabulary(
    files: TokenizerFiles,
    rows: int,
    end_of_turn: str = "",
    config: Mapping[str, Any] | None = None,
) -> Vocabulary:
    """The vocabulary for a model with `rows` embedding rows; added tokens beyond are left out.

    `end_of_turn`: text of the token that ends an answer when it is not the EOS token. `config`:
    the model's config.json, whose BOS and padding count where the tokenizer has none.
    Raises UserError, with the file, for what llama.cpp cannot do alike.
    """
    try:
        return _Reader(files, rows, end_of_turn, config or {}).vocabulary()
    except UserError as error:
        if error.path is not None:
            raise
        path = files.folder / "tokenizer.json"
        raise UserError(error.message, path=path, hint=error.hint) from None


def tokenizer_vocabulary(folder: Path, end_of_turn: str = "") -> Vocabulary:
    """The vocabulary of the tokenizer in `folder` alone, without a model's unused rows."""
    found = read_tokenizer(folder)
    return read_vocabulary(found, found.highest_id + 1, end_of_turn)


class _Reader:
    """Takes one backend JSON apart."""

    def __init__(
        self, files: TokenizerFiles, rows: int, end_of_turn: str, config: Mapping[str, Any]
    ) -> None:
        self.files, self.rows, self.end_of_turn, self.config = files, rows, end_of_turn, config
        try:
            self.backend = json.loads(files.backend_json)
            self.model = self.backend["model"]
            every = self.backend.get("added_tokens", [])
            self.added = {t["id"]: t for t in every if t["id"] < rows}
            self._ids_beyond = {t["id"] for t in every} - set(self.added)
            self.kind = str(self.model["type"])
        except (ValueError, KeyError, TypeError):
            raise UserError("not a tokenizer of the tokenizers library") from None
        self.ids = {t["content"]: i for i, t in self.added.items()}

    def vocabulary(self) -> Vocabulary:
        self._refuse()
        pieces = bool(self.model.get("byte_fallback"))
        pre = "default" if pieces else pretokenizer_name(self.backend)
        tokens, types = self._tokens(pieces)
        special = self._special()
        merges = [self._merge(merge) for merge in self.model["merges"]]
        add_bos, add_eos = self._adds(special)
        phi3, opening = self._is_phi3(), self._opening()
        ends = {tokens[i] for name, i in special.items() if name in ("eos", "eot")}
        return Vocabulary(
            model="llama" if pieces else "gpt2",
            pre=pre,
            tokens=tokens,
            types=types,
            scores=_scores(tokens, types, merges) if pieces else [],
            merges=[] if pieces else merges,
            special=special,
            has_bos=self._id_of("bos") is not None,
            add_bos=add_bos,
            add_eos=add_eos,
            add_space_prefix=pieces and self._prefixes_space(),
            phi3=phi3,
            added=tuple(t["content"] for t in self.added.values()),
            differences=find_differences(
                self.backend, pre, ends, phi3=phi3, opening=opening, rows=self.rows
            ),
        )

    def _refuse(self) -> None:
        if self.kind != "BPE":
            raise UserError(f"{self.kind} tokenizers are not supported", hint="BPE has")
        for option in ("continuing_subword_prefix", "end_of_word_suffix"):
            if self.model.get(option):
                raise UserError(f"llama.cpp's BPE has no {option}")

    def _tokens(self, pieces: bool) -> tuple[list[str], list[int]]:
        texts = {i: text for text, i in self.model["vocab"].items()}
        beyond = [i for i in texts if i >= self.rows and i not in self._ids_beyond]
        if beyond:
            message = f"token id {max(beyond)} is beyond the {self.rows} rows of the embedding"
            raise UserError(message, hint="use the tokenizer that belongs to the base model")
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
            if added["special"] or _LOOKS_SPECIAL.fullmatch(content):
                return content, TokenType.CONTROL
            # A run of spaces is found in the text, before spaces are replaced.
            return content.replace(SPACE, " ") if pieces else content, TokenType.USER_DEFINED
        if text is None:
            return f"[PAD{i}]", TokenType.UNUSED
        if pieces and _BYTE.fullmatch(text):
            return text, TokenType.BYTE
        return text, TokenType.NORMAL

    def _merge(self, merge: str | list[str]) -> str:
        if isinstance(merge, str):
            return merge
        joined = " ".join(merge)
        if joined.count(" ") != 1:
            raise UserError(f"a merge with a space inside: {merge!r}")
        return joined

    def _special(self) -> dict[str, int]:
        found = {name: self._id_of(name) for name in ("bos", "eos", "unk", "pad")}
        if found["eos"] is None:
            hint = "set eos_token in tokenizer_config.json"
            raise UserError("the tokenizer names no end-of-sequence token", hint=hint)
        for name in ("bos", "pad"):
            found[name] = self._of_config(name) if found[name] is None else found[name]
        found["bos"] = found["eos"] if found["bos"] is None else found["bos"]
        if self.end_of_turn:
            if self.end_of_turn not in self.ids:
                raise UserError(f"the end of turn {self.end_of_turn!r} is not a special token")
            if self.ids[self.end_of_turn] != found["eos"]:
                found["eot"] = self.ids[self.end_of_turn]
        return {name: i for name, i in found.items() if i is not None}

    def _of_config(self, name: str) -> int | None:
        """Qwen's config.json has a BOS that its tokenizer does not name; no text begins with it."""
        token = self.config.get(f"{name}_token_id")
        return token if type(token) is int and 0 <= token < self.rows else None

    def _id_of(self, name: str) -> int | None:
        token = self.files.config.get(f"{name}_token")
        content = token.get("content") if isinstance(token, Mapping) else token
        return None if content is None else self.ids.get(content, self.model["vocab"].get(content))

    def _adds(self, special: Mapping[str, int]) -> tuple[bool, bool]:
        """Whether the tokenizer puts BOS before and EOS after a text; found by asking it."""
        plain, whole = (list(self.files.ids("a", add_special=s)) for s in (False, True))
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
            return metaspace_scheme(self.backend) == "always"
        harmless = pre.get("type") in (None, "Split") and self._splits_at_spaces(pre)
        if normalizer not in (["Replace"], ["Prepend", "Replace"]) or not harmless:
            raise UserError("llama.cpp has no equivalent for the way this tokenizer splits text")
        return "Prepend" in normalizer

    def _opening(self) -> str:
        """The token that a text has to begin with: its first word alone has a space before it.

        llama.cpp can do that for all or none. A rendered conversation begins with a special token.
        """
        if metaspace_scheme(self.backend) != "first":
            return ""
        opening = self._id_of("bos")
        if opening is None:
            raise UserError("it adds a space before the first word only, and there is no BOS token")
        return str(self.added[opening]["content"])

    def _splits_at_spaces(self, pre: Mapping[str, Any]) -> bool:
        """Spaces were replaced before, so that a split at them finds nothing to do."""
        return not pre or pre.get("pattern") == {"String": " "}

    def _is_phi3(self) -> bool:
        """Whether llama.cpp's rule for Phi-3 fits better: all added tokens strip but three."""
        dropping = set(self.ids) - set(NOT_STRIPPING_IN_PHI3)
        stripping = {t["content"] for t in self.added.values() if t.get("rstrip")}
        known = {*NOT_STRIPPING_IN_PHI3, "</s>"} <= set(self.ids)
        return known and len(stripping ^ dropping) < len(stripping)


def _as_c_string(text: str) -> str:
    """What llama.cpp keeps of a token's text: it ends at a NUL."""
    return text.partition("\0")[0]


def _refuse_duplicates(tokens: list[str]) -> None:
    if len(set(tokens)) == len(tokens):
        return
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
