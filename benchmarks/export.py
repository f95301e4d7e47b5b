"""Export of a Llama-shaped model in one pass, beside the way over peft and llama.cpp.

    python -m benchmarks.export [--parameters 0.3] [--json FILE] [--llama-cpp DIR]

`--parameters` in billions (1.24 is Llama-3.2-1B's shape, the one that issue and docs speak of). The
peer merges with peft and saves, which takes the whole model into memory and a second copy of it to
disk; `--llama-cpp DIR`, a checkout, adds its converter, without which the peer's time to F16 is
that of the merge alone. Its quantized files come from `llama_model_quantize`, of our F16. The model
is random, bfloat16, in three shards, with a LoRA of rank 16 on every linear layer.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import Figure, save, table
from benchmarks.processes import Taken, measure

HIDDEN, INNER, HEADS, KV_HEADS, VOCABULARY = 2048, 8192, 32, 8, 128_256
LAYER = 2 * HIDDEN * HIDDEN + 2 * HIDDEN * HIDDEN * KV_HEADS // HEADS + 3 * HIDDEN * INNER
RANK, SHARDS, MIB = 16, 3, 2**20
LIMIT_S = 1800.0


def shapes(layers: int) -> dict[str, tuple[int, ...]]:
    """Hugging Face names with shapes, the head tied to the embedding."""
    keys = HIDDEN * KV_HEADS // HEADS
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN)}
    for n in range(layers):
        at = f"model.layers.{n}"
        for name, rows in (("q", HIDDEN), ("k", keys), ("v", keys), ("o", HIDDEN)):
            found[f"{at}.self_attn.{name}_proj.weight"] = (rows, HIDDEN)
        for name, shape in (("gate", (INNER, HIDDEN)), ("up", (INNER, HIDDEN))):
            found[f"{at}.mlp.{name}_proj.weight"] = shape
        found[f"{at}.mlp.down_proj.weight"] = (HIDDEN, INNER)
        found |= {
            f"{at}.{name}_layernorm.weight": (HIDDEN,) for name in ("input", "post_attention")
        }
    return found | {"model.norm.weight": (HIDDEN,)}


def make_model(folder: Path, layers: int) -> int:
    """Write base, tokenizer and adapter below `folder`; the number of parameters."""
    from tests.pipeline.export.helpers import save_tokenizer

    base = folder / "base"
    save_tokenizer(base)
    named = shapes(layers)
    _write_shards(base, named)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "max_position_embeddings": 2048,
        "vocab_size": VOCABULARY,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0},
        "dtype": "bfloat16",
        "bos_token_id": None,
        "eos_token_id": 2,
    }
    (base / "config.json").write_text(json.dumps(config))
    _write_adapter(folder / "adapter", named)
    return sum(int(np.prod(shape)) for shape in named.values())


def _write_shards(folder: Path, named: dict[str, tuple[int, ...]]) -> None:
    from safetensors.torch import save_file

    names = list(named)
    listed: dict[str, str] = {}
    for i in range(SHARDS):
        file = f"model-{i + 1:05}-of-{SHARDS:05}.safetensors"
        part = names[len(names) * i // SHARDS : len(names) * (i + 1) // SHARDS]
        save_file({name: _random(named[name], i) for name in part}, folder / file)
        listed |= dict.fromkeys(part, file)
    index = {"metadata": {}, "weight_map": listed}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _random(shape: tuple[int, ...], seed: int) -> Any:
    import torch

    torch.manual_seed(seed)
    made = torch.randn(shape, dtype=torch.bfloat16) * 0.02
    return made + 1 if len(shape) == 1 else made


def _write_adapter(folder: Path, named: dict[str, tuple[int, ...]]) -> None:
    from safetensors.torch import save_file

    folder.mkdir()
    tensors, modules = {}, set[str]()
    for name, shape in named.items():
        module = name.removesuffix(".weight")
        if "proj" in module:
            modules.add(module.rpartition(".")[2])
            place = f"base_model.model.{module}"
            tensors[f"{place}.lora_A.weight"] = _random((RANK, shape[1]), 1).float()
            tensors[f"{place}.lora_B.weight"] = _random((shape[0], RANK), 2).float()
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": 32, "task_type": "CAUSAL_LM"}
    config |= {"target_modules": sorted(modules), "base_model_name_or_path": "base"}
    (folder / "adapter_config.json").write_text(json.dumps(config))


# What is measured, each in a process of its own


def ours(folder: Path, types: Sequence[str]) -> None:
    """Our pass, from base and adapter to files of all types."""
    from workbench.pipeline.export.plan import plan_export
    from workbench.pipeline.export.stream import run_export
    from workbench.pipeline.training.weights import Weights

    weights = Weights(folder / "base", (folder / "adapter",))
    plan = plan_export(weights, types, folder / "base", name="made")
    run_export(plan, {kind: folder / f"ours-{kind}.gguf" for kind in types})


def merged(folder: Path, _types: Sequence[str]) -> None:
    """The peer's first step: peft's merge, saved."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.bfloat16)
    model = PeftModel.from_pretrained(model, folder / "adapter").merge_and_unload()
    model.save_pretrained(folder / "merged")


def quantized(folder: Path, types: Sequence[str]) -> None:
    """The peer's last step: llama.cpp's quantization of an F16 file."""
    from workbench.quantize.quantize import quantize
    from workbench.quantize.types import KINDS

    for kind in types:
        target = folder / f"theirs-{kind}.gguf"
        quantize(folder / "ours-f16.gguf", target, KINDS[kind], threads=2)


def copied(folder: Path, _types: Sequence[str]) -> None:
    """The floor: the base read and as many bytes written as an F16 file has."""
    for path in (folder / "base").glob("*.safetensors"):
        shutil.copyfile(path, folder / f"copy-{path.name}")


STEPS = {step.__name__: step for step in (ours, merged, quantized, copied)}


def measured(step: str, folder: Path, *types: str) -> Taken:
    """The step in a process of its own. Raises when it fails."""
    command = [sys.executable, "-m", "benchmarks.export", "--step", step, str(folder), *types]
    found = measure(command, LIMIT_S)
    if found.status:
        raise RuntimeError(f"{step}: {found.err[-500:]}")
    return found


def figures(folder: Path, llama_cpp: str) -> Iterator[Figure]:
    """Time and memory, ours and the peer's."""
    floor = measured("copied", folder)
    f16, peer = measured("ours", folder, "f16"), measured("merged", folder)
    convert = _converted(folder, llama_cpp)
    whole_s = peer.wall_s + (convert.wall_s if convert else 0.0)
    note = "merge and convert" if convert else "peer: the merge alone, no converter"
    yield Figure("to F16", f16.wall_s, "s", peer=whole_s, goal_ratio=1.67, note=note)
    note = "reading the base, writing as much: cp"
    yield Figure("to F16 against a copy", f16.wall_s, "s", peer=floor.wall_s, note=note)
    peak = max(peer.peak_bytes, convert.peak_bytes if convert else 0)
    yield _memory("to F16, memory", f16, 200, peak)
    k4, theirs = measured("ours", folder, "q4_k_m"), measured("quantized", folder, "q4_k_m")
    yield Figure("to Q4_K_M", k4.wall_s, "s", peer=whole_s + theirs.wall_s, goal_ratio=1.67)
    yield _memory("to Q4_K_M, memory", k4, 250, max(peak, theirs.peak_bytes))
    three = measured("ours", folder, "f16", "q8_0", "q4_k_m")
    ratio = three.wall_s / k4.wall_s
    yield Figure("F16, Q8_0 and Q4_K_M together", ratio, "x Q4_K_M alone", goal=1.1)


def _memory(name: str, ours: Taken, goal: float, peer_bytes: float) -> Figure:
    return Figure(name, ours.peak_bytes / MIB, "MiB", goal=goal, peer=peer_bytes / MIB)


def _converted(folder: Path, llama_cpp: str) -> Taken | None:
    if not llama_cpp:
        return None
    script = Path(llama_cpp) / "convert_hf_to_gguf.py"
    command = [sys.executable, str(script), str(folder / "merged"), "--outtype", "f16"]
    found = measure([*command, "--outfile", str(folder / "theirs.gguf")], LIMIT_S)
    if found.status:
        raise RuntimeError(f"llama.cpp's converter: {found.err[-500:]}")
    return found


def layers_for(billions: float) -> int:
    """Layers of a model of about so many parameters; at least two."""
    return max(2, round((billions * 1e9 - VOCABULARY * HIDDEN) / LAYER))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--parameters", type=float, default=0.4)
    parser.add_argument("--json", default="")
    parser.add_argument("--llama-cpp", default="", metavar="DIR")
    parser.add_argument("--step", nargs="+", default=[], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        name, folder, *types = given.step
        STEPS[name](Path(folder), types)
        return 0
    found = list[Figure]()
    peaks = list[tuple[int, float]]()
    for layers in (1, layers_for(given.parameters)):
        with tempfile.TemporaryDirectory(prefix="workbench-export-") as place:
            folder = Path(place)
            count = make_model(folder, layers)
            if layers == 1:
                peaks.append((count, measured("ours", folder, "f16").peak_bytes))
                continue
            print(f"{count / 1e9:.2f} B parameters, {layers} layers")
            found += figures(folder, given.llama_cpp)
            peaks.append((count, measured("ours", folder, "f16").peak_bytes))
    (small, low), (large, high) = peaks
    slope = (high - low) / (large - small) * 1e9 / MIB
    found.append(Figure("memory for a billion more parameters", slope, "MiB", goal=20.0))
    print(table(found))
    if given.json:
        save(given.json, found)
    return 0 if all(figure.met is not False for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main())
