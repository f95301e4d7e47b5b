"""PEFT's merge and llama.cpp's own converter on the same run, and what they write otherwise.

Weights: PEFT merges the base and the adapter in float32, the converter makes F16 of that, and our
export of the two is compared with it byte for byte, our merged folder with PEFT's merge. The
adapter is the trained one with its factors rounded to a grid on which every sum of their products
is exact: else the order in which BLAS adds them up tips one element in thousands. Keys: those of
the run's own file; the converter gets the configs and the tokenizer of the run's merged folder.

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
from benchmarks.real_bases_run import Ran
from benchmarks.real_bases_sources import Sources
from benchmarks.real_bases_tokenizers import Facts, RealTokenizer
from workbench.inference.gguf_header import Tensor, read_header

CONFIG = "tokenizer_config.json"
WEIGHTS = "model"  # how the names of files with weights begin
KIND = "f16"
ADAPTER = "adapter_model.safetensors"
GRID_BITS = 8
TIMEOUT_S = 240.0
TAB = "<0x09>"
_BYTE = re.compile("<0x[0-9A-F]{2}>")


@dataclass
class Compared:
    """Tensors that are the same byte for byte, and those that are not; keys that differ.

    `merged`: tensors of our merged folder that are not PEFT's merge in their number format.
    `failed`: the converter's last line where it wrote nothing.
    """

    same: int = 0
    others: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    merged: list[str] = field(default_factory=list)
    failed: str = ""


def compare_with_reference(
    ran: Ran, base: Path, facts: Facts, tokenizer: RealTokenizer, sources: Sources, work: Path
) -> Compared:
    """Merge by PEFT, convert by llama.cpp, compare with our export of the same adapter and with the
    keys of the file that `ran` made."""
    folder, theirs = work / "reference", work / "reference.gguf"
    adapter = on_a_grid(ran.adapter, work / "adapter")
    merge_by_peft(base, adapter, folder)
    ours, merged = _export(base, adapter, ran, work)
    others = other_tensors(merged, folder)
    for path in ran.merged.iterdir():
        if not (path.name == CONFIG or path.name.startswith(WEIGHTS)):
            shutil.copy(path, folder / path.name)
    config = json.loads((ran.merged / CONFIG).read_bytes())
    config["tokenizer_class"] = tokenizer.config["tokenizer_class"]
    config.setdefault("added_tokens_decoder", tokenizer.added_tokens_decoder)
    (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    _write_pieces(facts, tokenizer, sources, folder)
    failed = _convert(sources, folder, theirs)
    found = Compared(failed=failed) if failed else compare_files(ours, theirs, ran.gguf(KIND))
    found.merged = others
    return found


def on_a_grid(adapter: Path, folder: Path) -> Path:
    """A copy of a LoRA folder whose factors have eight bits below their largest value.

    Products then have sixteen, sums of up to 256 of them fit into float32's 24.
    """
    import torch
    from safetensors.torch import load_file, save_file

    folder.mkdir()
    shutil.copy(adapter / "adapter_config.json", folder)
    rounded = {}
    for name, factor in load_file(adapter / ADAPTER).items():
        step = 2.0 ** (torch.frexp(factor.abs().max()).exponent.item() - GRID_BITS)
        rounded[name] = (factor / step).round() * step
    save_file(rounded, folder / ADAPTER)
    return folder


def _export(base: Path, adapter: Path, ran: Ran, work: Path) -> tuple[Path, Path]:
    """Our F16 file and merged folder of that adapter."""
    from workbench.pipeline.export.merged_safetensors import write_merged
    from workbench.pipeline.export.plan import plan_export
    from workbench.pipeline.export.streaming import run_export
    from workbench.pipeline.models.weights import Weights

    gguf, merged = work / f"exact-{KIND}.gguf", work / "exact-merged"
    plan = plan_export(Weights(base, (adapter,)), [KIND], ran.tokenizer)
    run_export(plan, {KIND: gguf})
    write_merged(plan, merged)
    return gguf, merged


def merge_by_peft(base: Path, adapter: Path, folder: Path) -> None:
    """Write the weights of `base` with `adapter` merged in, in float32, into `folder`."""
    import torch

    from workbench.pipeline.models.causal_lm import load_causal
    from workbench.pipeline.training.lora import PeftModel, without_bitsandbytes

    model = load_causal(base, dtype=torch.float32)
    with without_bitsandbytes():
        merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    merged.save_pretrained(folder)
    for path in folder.iterdir():
        if not path.name.startswith(WEIGHTS):
            path.unlink()


def other_tensors(merged: Path, reference: Path) -> list[str]:
    """The tensors in safetensors of `merged` that `reference`'s in float32 do not round to."""
    mine, theirs = _weights(merged), _weights(reference)
    names = [*(name for name in mine if name not in theirs), *(n for n in theirs if n not in mine)]
    said = [f"{name}: only in one" for name in names]
    for name in sorted(mine.keys() & theirs.keys()):
        rounded = theirs[name].to(mine[name].dtype)
        if rounded.shape != mine[name].shape:
            said.append(f"{name}: shape {list(mine[name].shape)}, PEFT has {list(rounded.shape)}")
        elif differ := int((rounded != mine[name]).sum()):
            said.append(f"{name}: {differ} of {rounded.numel()} elements differ")
    return said


def _weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    found: dict[str, Any] = {}
    for path in sorted(folder.glob(f"{WEIGHTS}*.safetensors")):
        found |= load_file(path)
    return found


def _convert(sources: Sources, folder: Path, out: Path) -> str:
    """Run the converter; "" or why it wrote nothing."""
    script = sources.llama_cpp / "convert_hf_to_gguf.py"
    command = [sys.executable, str(script), str(folder), "--outfile", str(out)]
    command += ["--outtype", KIND]
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


def compare_files(ours: Path, theirs: Path, with_keys: Path) -> Compared:
    """Tensors of two GGUF files, and keys of `with_keys` and `theirs`."""
    found, a, b = Compared(), read_header(ours), read_header(theirs)
    mine, reference = ({tensor.name: tensor for tensor in file.tensors} for file in (a, b))
    one, other = (
        np.memmap(path, np.uint8, "r", offset=header.data_start)
        for path, header in ((ours, a), (theirs, b))
    )
    for name in sorted({*mine, *reference}):
        said = _headers(mine.get(name), reference.get(name))
        if not said:
            differ = int((_bytes(mine[name], one) != _bytes(reference[name], other)).sum())
            said = f"{differ} of {mine[name].n_bytes} bytes differ" if differ else ""
        if said:
            found.others.append(f"{name}: {said}")
        else:
            found.same += 1
    keys = read_header(with_keys).metadata
    for key in sorted({*keys, *b.metadata}):
        values = keys.get(key), b.metadata.get(key)
        if values[0] != values[1]:
            found.keys[key] = _difference(*values)
    return found


def _headers(mine: Tensor | None, reference: Tensor | None) -> str:
    """How place, type or shape differ; "" where only the bytes can."""
    if mine is None or reference is None:
        return "only in the reference" if mine is None else "not in the reference"
    if mine.type != reference.type:
        return f"type {mine.type}, the reference has {reference.type}"
    if mine.shape != reference.shape:
        return f"shape {list(mine.shape)}, the reference has {list(reference.shape)}"
    return ""


def _bytes(tensor: Tensor, data: Any) -> Any:
    return data[tensor.offset : tensor.offset + tensor.n_bytes]


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
