"""llama.cpp's own converter on our merged model, and what it writes otherwise than we do.

The converter of the vendored version runs in a child, from the cache. It reads SentencePiece
vocabularies from a `tokenizer.model` only; where none is published in a registry, one is written
from the same pieces, and its scores are not compared. It takes the types of added tokens from
`added_tokens_decoder`, which transformers 5 no longer writes, and for Phi looks at the tokenizer's
class, which we write as the plain one: it gets the published values of both.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.real_bases_pieces import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    USER_DEFINED,
    Piece,
    read_pieces,
    write_pieces,
)
from benchmarks.real_bases_sources import Sources
from benchmarks.real_bases_tokenizers import Facts, RealTokenizer

CONFIG = "tokenizer_config.json"
TIMEOUT_S = 240.0
ROUNDED_SHARE = 1e-4  # of a tensor's elements that may be one step of BF16 apart
ROUNDED = "rounded otherwise"
TAB = "<0x09>"
_BYTE = re.compile("<0x[0-9A-F]{2}>")


@dataclass
class Compared:
    """Tensors that are the same byte for byte, and those that are not; keys that differ.

    `failed` is the converter's last line where it wrote nothing.
    """

    same: int = 0
    others: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    failed: str = ""


def compare_with_reference(
    ours: Path, merged: Path, facts: Facts, tokenizer: RealTokenizer, sources: Sources, work: Path
) -> Compared:
    """Convert `merged` by llama.cpp and compare its BF16 file with `ours`.

    The merged weights are BF16 as the base's are: rounded once, on both ways.
    """
    folder = work / "reference"
    folder.mkdir()
    for path in merged.iterdir():
        if path.name != CONFIG:
            os.symlink(path, folder / path.name)
    config = json.loads((merged / CONFIG).read_bytes())
    config["tokenizer_class"] = tokenizer.config["tokenizer_class"]
    config.setdefault("added_tokens_decoder", tokenizer.added_tokens_decoder)
    (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    _write_pieces(facts, tokenizer, sources, folder)
    theirs = work / "reference.gguf"
    failed = _convert(sources, folder, theirs)
    try:
        return Compared(failed=failed) if failed else _compared(ours, theirs)
    finally:
        theirs.unlink(missing_ok=True)
        shutil.rmtree(folder)


def _convert(sources: Sources, folder: Path, out: Path) -> str:
    """Run the converter; "" or why it wrote nothing."""
    script = sources.llama_cpp / "convert_hf_to_gguf.py"
    command = [sys.executable, str(script), str(folder), "--outfile", str(out)]
    command += ["--outtype", "bf16"]
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(sources.sentencepiece)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode == 0 and out.is_file():
        return ""
    lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
    return lines[-1].strip()[:300]


def _write_pieces(facts: Facts, tokenizer: RealTokenizer, sources: Sources, folder: Path) -> None:
    """tokenizer.model, for a vocabulary that comes from SentencePiece."""
    model = tokenizer.backend["model"]
    if not model["byte_fallback"]:
        return
    kind, _, name = facts["tokenizer"].partition(":")
    target = folder / "tokenizer.model"
    if kind == "pieces":
        target.write_bytes((sources.mistral_common / name).read_bytes())
        return
    if facts["tokenizer"] == "npm:llama2":
        target.write_bytes((sources.mistral_common / "tokenizer.model.v1").read_bytes())
        return
    pieces = list(pieces_of(tokenizer.backend))
    prefix = "gemma" not in str(facts["config"]["model_type"])
    target.write_bytes(write_pieces(pieces, add_dummy_prefix=prefix))
    assert len(read_pieces(target.read_bytes())) == len(pieces)


def pieces_of(backend: Mapping[str, Any]) -> Iterable[Piece]:
    """The pieces of a vocabulary, each with minus its rank as score."""
    vocabulary: dict[str, int] = backend["model"]["vocab"]
    added = {t["id"]: t for t in backend["added_tokens"]}
    unknown = backend["model"]["unk_token"]
    for text, i in sorted(vocabulary.items(), key=lambda item: item[1]):
        if text == "\t" and TAB not in vocabulary:
            yield Piece(TAB, 0.0, BYTE)  # Gemma's tokenizer.json has the character for this byte
            continue
        token = added.get(i)
        if text == unknown:
            yield Piece(text, 0.0, UNKNOWN)
        elif token is not None:
            yield Piece(text, 0.0, CONTROL if token["special"] else USER_DEFINED)
        elif _BYTE.fullmatch(text):
            yield Piece(text, 0.0, BYTE)
        else:
            yield Piece(text, -float(i), NORMAL)


def _compared(ours: Path, theirs: Path) -> Compared:
    from gguf import GGUFReader

    a, b = GGUFReader(ours), GGUFReader(theirs)
    found = Compared()
    mine, reference = ({t.name: t for t in file.tensors} for file in (a, b))
    for name in sorted({*mine, *reference}):
        said = _tensor(mine.get(name), reference.get(name))
        if said:
            found.others.append(f"{name}: {said}")
        else:
            found.same += 1
    for key in sorted({*a.fields, *b.fields}):
        if key.startswith("GGUF."):
            continue
        one, other = (f.fields[key].contents() if key in f.fields else None for f in (a, b))
        if one != other:
            found.keys[key] = _difference(one, other)
    return found


def _tensor(mine: Any, reference: Any) -> str:
    if mine is None or reference is None:
        return "only in the reference" if mine is None else "not in the reference"
    if mine.tensor_type != reference.tensor_type:
        return f"{mine.tensor_type.name}, the reference has {reference.tensor_type.name}"
    if list(mine.shape) != list(reference.shape):
        shapes = [[int(n) for n in t.shape] for t in (mine, reference)]
        return f"shape {shapes[0]}, the reference has {shapes[1]}"
    if np.array_equal(_raw(mine), _raw(reference)):
        return ""
    if mine.tensor_type.name == "BF16" and _is_rounding(mine, reference):
        return ROUNDED
    differ = int((_raw(mine) != _raw(reference)).sum())
    return f"{differ} of {_raw(mine).size} bytes differ"


def _is_rounding(mine: Any, reference: Any) -> bool:
    """Whether few elements differ and each by one step.

    The merged folder and the GGUF are merged in blocks of other sizes, and the order in which BLAS
    adds up hangs on the block: a sum that lies between two steps of BF16 may tip.
    """
    one, other = (_raw(t).view(np.int16).astype(np.int32) for t in (mine, reference))
    steps = np.abs(one - other)
    return bool(steps.max() <= 1 and (steps > 0).mean() <= ROUNDED_SHARE)


def _raw(tensor: Any) -> Any:
    return np.ascontiguousarray(tensor.data).view(np.uint8)


def _difference(one: Any, other: Any) -> str:
    """Both values in short; of lists, how many entries differ and the first of them."""
    if isinstance(one, list) and isinstance(other, list):
        pairs = [(n, a, b) for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b]
        lengths = f"{len(one)} and {len(other)} entries, " if len(one) != len(other) else ""
        first = f", first [{pairs[0][0]}]: {pairs[0][1]!r} / {pairs[0][2]!r}" if pairs else ""
        return f"{lengths}{len(pairs)} differ{first}"
    return " / ".join("none" if v is None else _short(v) for v in (one, other))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
