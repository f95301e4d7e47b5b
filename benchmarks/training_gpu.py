"""The rows of `benchmarks.training --gpu`: large shapes, long rows, LoRA and NF4, in bfloat16.

Tokens a second, peak memory, and the share of the rate at which this GPU multiplies bfloat16
matrices, measured in the same call. A LoRA step cannot do with less than four operations a weight
and token (two forward, two for the gradient of the layer's input); the head counts for the trained
tokens only. TRL and Unsloth stand beside where they can be imported. `--device cpu` makes a smoke
test of it, with `--scale` and `--layers` that fit.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.processes import measure
from benchmarks.training_bases import (
    SHAPES,
    Shape,
    chat_rows,
    make_base,
    save_settings,
    told,
    write_rows,
)

LIMIT_S, GIB = 1800.0, 1 << 30
MEAN, RANK = 2048, 16
GOAL_TRL, GOAL_UNSLOTH, GOAL_SHARE = 1.3, 1.0, 0.45
GPU_SHAPES, QUANTIZATIONS = ("coder-1.5b", "coder-7b"), ("none", "nf4")
PEERS = {"trl": "trl-gpu", "unsloth": "unsloth"}

Means = dict[str, float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that only these rows have."""
    parser.add_argument("--gpu", action="store_true", help="the rows that need a GPU")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--row-tokens", type=int, default=MEAN, help="mean length, with --gpu")


def measured(options: argparse.Namespace) -> Iterator[Figure]:
    """All rows; each training in a process of its own, ours and the peers in turn."""
    _refuse_absent(options.device)
    peers = [name for name in PEERS if importlib.util.find_spec(name) is not None]
    missing = ", ".join(name for name in PEERS if name not in peers)
    if missing:
        print(f"not installed, so left out: {missing}", flush=True)
    scale = 1.0 if options.device == "cuda" else options.scale
    for name in [name for name in options.shapes.split(",") if name in GPU_SHAPES] or GPU_SHAPES:
        whole = SHAPES[name]
        shape = whole.reduced(options.layers, scale)
        print(f"{name}: {told(shape, whole)}", flush=True)
        with tempfile.TemporaryDirectory(prefix="workbench-training-") as place:
            folder = Path(place)
            make_base(folder / "base", shape, options.device)
            trained = _rows(folder, shape, options)
            for quantization in QUANTIZATIONS:
                _settings(folder, quantization, options)
                found = _in_turn(folder, ["ours-gpu", *(PEERS[p] for p in peers)], options.repeats)
                yield from _figures(f"{name}, {quantization}", shape, trained, found)


def _refuse_absent(device: str) -> None:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        print("--gpu: this machine has no CUDA (--device cpu makes a smoke test)", file=sys.stderr)
        raise SystemExit(2)


def _rows(folder: Path, shape: Shape, options: argparse.Namespace) -> float:
    """Write the rows; the share of their tokens that is trained."""
    longest = 2 * options.row_tokens
    for split, count, seed in (("train", options.rows, 1), ("validation", 4, 2)):
        rows = chat_rows(
            count, shape.vocabulary, seed=seed, mean=options.row_tokens, longest=longest
        )
        write_rows(folder / f"{split}.safetensors", rows)
        if split == "train":
            share = sum(sum(row.trained) for row in rows) / sum(len(row.ids) for row in rows)
    return share


def _settings(folder: Path, quantization: str, options: argparse.Namespace) -> None:
    save_settings(
        folder,
        step_tokens=8 * options.row_tokens,
        batch_rows=8,
        longest=2 * options.row_tokens,
        rank=RANK,
        learning_rate=1e-4,
        device=options.device,
        dtype="bfloat16",
        quantization=quantization,
    )


def _in_turn(folder: Path, programs: list[str], repeats: int) -> dict[str, Means]:
    """Medians of each program's figures; one that fails is told and left out."""
    found: dict[str, list[Means]] = {name: [] for name in programs}
    for _ in range(repeats):
        for name in programs:
            command = [sys.executable, "-m", "benchmarks.training_programs", name, str(folder)]
            taken = measure(command, LIMIT_S, HF_HUB_OFFLINE="1")
            if taken.status:
                print(f"{name} failed: {taken.err.strip().splitlines()[-1:]}", flush=True)
                continue
            found[name].append(json.loads(taken.out.splitlines()[-1]))
    return {
        name: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for name, runs in found.items()
        if runs
    }


def _figures(name: str, shape: Shape, trained: float, found: dict[str, Means]) -> Iterator[Figure]:
    ours = found.get("ours-gpu")
    if ours is None:
        return
    speed, memory = ours["tokens_per_s"], ours["gpu_bytes"] / GIB
    peers = {key: found[key] for key in PEERS.values() if key in found} or {"": {}}
    for peer, theirs in peers.items():
        goal = {"trl-gpu": GOAL_TRL, "unsloth": GOAL_UNSLOTH}.get(peer)
        beside: dict[str, Any] = {"peer": theirs.get("tokens_per_s"), "goal_ratio": goal}
        yield Figure(f"{name}: speed {peer}".rstrip(), speed, "tokens/s", "higher", **beside)
        held = theirs["gpu_bytes"] / GIB if theirs else None
        yield Figure(f"{name}: memory {peer}".rstrip(), memory, "GiB", peer=held)
    needed = 4.0 * (shape.layer_weights + trained * shape.head_weights)
    share = speed * needed / ours["matrix_rate"]
    note = f"of {ours['matrix_rate'] / 1e12:,.3g} T operations/s; {trained:.0%} of tokens trained"
    goal = GOAL_SHARE if name == "coder-7b, none" else None
    yield Figure(f"{name}: matrix rate used", share, "", "higher", goal, note=note)
