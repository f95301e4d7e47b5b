"""What the benchmarks of the export measure, each step a process of its own.

    python -m benchmarks.export_steps STEP FOLDER [TYPE ...]

`FOLDER` holds the `base` and `adapter` of `benchmarks.export_model`; `out` is for our files.
"""

from __future__ import annotations

import os
import runpy
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.processes import Taken, measure

LIMIT_S = 1800.0
OUT, TEMPORARY, MERGED = "out", "tmp", "merged"


def ours(folder: Path, types: Sequence[str]) -> None:
    """Our pass, from base and adapter to files of all types."""
    from workbench.pipeline.export.plan import plan_export
    from workbench.pipeline.export.streaming import run_export
    from workbench.pipeline.models.weights import Weights

    weights = Weights(folder / "base", (folder / "adapter",))
    plan = plan_export(weights, types, folder / "base", name="made")
    (folder / OUT).mkdir(exist_ok=True)
    run_export(plan, {kind: folder / OUT / result(kind) for kind in types})


def result(kind: str) -> str:
    """The name of our file of that type."""
    return f"ours-{kind}.gguf"


def sunk(folder: Path, types: Sequence[str]) -> None:
    """Our pass into files with holes for bytes: whatever the model's size, the disk takes it."""
    from workbench.core import files

    def sink(fd: int, data: bytes, offset: int) -> None:
        """Nothing: the export gives the file its length at its end."""

    files.write_at = sink
    ours(folder, types)


def merged(folder: Path, _types: Sequence[str]) -> None:
    """The peer's first step: peft's merge, saved."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.bfloat16)
    model = PeftModel.from_pretrained(model, folder / "adapter").merge_and_unload()
    model.save_pretrained(folder / MERGED)


def converted(folder: Path, given: Sequence[str]) -> None:
    """The peer's second step: llama.cpp's converter, from the checkout that is `given`.

    It knows tokenizers by a hash of their ids, so none that was trained here: it is told which. For
    a tokenizer.model, which is not there, it would want one more library.
    """
    (checkout,) = given
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(folder / "base" / name, folder / MERGED / name)
    sys.path[:0] = [checkout, str(Path(checkout) / "gguf-py")]
    from conversion.base import TextModel  # type: ignore[import-not-found]

    def absent(self: object) -> None:
        raise FileNotFoundError("tokenizer.model")

    TextModel.get_vocab_base_pre = lambda self, tokenizer: "gpt-2"
    TextModel._set_vocab_sentencepiece = absent
    out = str(folder / "theirs.gguf")
    sys.argv = ["convert", str(folder / MERGED), "--outtype", "f16", "--outfile", out]
    runpy.run_path(str(Path(checkout) / "convert_hf_to_gguf.py"), run_name="__main__")


def quantized(folder: Path, types: Sequence[str]) -> None:
    """The peer's last step: llama.cpp's quantization of an F16 file, by all cores."""
    from workbench.inference.quantization import KINDS, quantize

    for kind in types:
        target = folder / f"theirs-{kind}.gguf"
        quantize(folder / OUT / result("f16"), target, KINDS[kind], threads=os.cpu_count() or 1)


def copied(folder: Path, types: Sequence[str]) -> None:
    """The floor: the base read and as many bytes written as an F16 file has; `synced` to disk."""
    for path in (folder / "base").glob("*.safetensors"):
        target = folder / f"copy-{path.name}"
        shutil.copyfile(path, target)
        if "synced" in types:
            with open(target, "rb") as file:
                os.fsync(file.fileno())


STEPS = {step.__name__: step for step in (ours, sunk, merged, converted, quantized, copied)}


def measured(step: str, folder: Path, *given: str) -> Taken:
    """The step in a process of its own, which has its temporary files in `FOLDER/tmp`.

    Raises RuntimeError when it fails.
    """
    (folder / TEMPORARY).mkdir(exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.export_steps", step, str(folder), *given]
    found = measure(command, LIMIT_S, TMPDIR=str(folder / TEMPORARY))
    if found.status:
        raise RuntimeError(f"{step}: {found.err[-500:]}")
    return found


if __name__ == "__main__":
    STEPS[sys.argv[1]](Path(sys.argv[2]), sys.argv[3:])
