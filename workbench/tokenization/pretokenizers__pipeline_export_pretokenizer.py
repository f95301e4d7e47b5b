"""llama.cpp's name (`tokenizer.ggml.pre`) for the way a byte-level BPE splits text.

llama.cpp's own converter recognises a tokenizer by a hash of the ids it gives to one text. Ids
depend on the vocabulary, so a tokenizer trained anywhere else is never recognised; the structure of
its JSON is what decides. A structure without an equivalent is refused: near is not equal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from workbench.core.errors import UserError
from workbench.pipeline.export.differences import normalizer_kinds
from workbench.tokenization.pretokenizers import DIGIT, SPLITTINGS, Step

_NAMES = {structure: name for name, structure in SPLITTINGS.items()}
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
