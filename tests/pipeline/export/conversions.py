"""Stand-ins for llama.cpp's converter, which is fetched and not committed, with its options.

The one that converts does so by workbench's own export, in a process that knows the architecture.
"""

from __future__ import annotations

from pathlib import Path

_OPTIONS = """
import argparse, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("model", type=pathlib.Path)
parser.add_argument("--outfile", type=pathlib.Path)
parser.add_argument("--outtype")
parser.add_argument("--vocab-only", action="store_true")
a = parser.parse_args()
"""
CONVERTS = (
    _OPTIONS
    + """
from workbench.pipeline.export.plan import plan_export
from workbench.pipeline.export.streaming import run_export
from workbench.pipeline.models.weights import Weights
if a.vocab_only:
    a.outfile.write_bytes(b"GGUF")
else:
    template = a.model / "chat_template.jinja"
    words = template.read_text() if template.is_file() else ""
    plan = plan_export(Weights(a.model), [a.outtype], a.model, chat_template=words)
    run_export(plan, {a.outtype: a.outfile}, threads=1)
"""
)
# One tensor is not the model's, as where a converter is of another version.
CONVERTS_WRONGLY = CONVERTS.replace(
    "    template =",
    """
    import numpy, safetensors.numpy
    path = a.model / "model.safetensors"
    tensors = safetensors.numpy.load_file(path)
    tensors["model.layers.0.mlp.down_proj.weight"] *= 3
    safetensors.numpy.save_file(tensors, path)
    template =""",
)
WRITES = _OPTIONS + 'a.outfile.write_text(f"{a.model.name} as {a.outtype}")\n'
REFUSES = "import sys\nprint('loading')\nraise NotImplementedError('Model X is not supported')\n"
HANGS = "import time\nprint('loading', flush=True)\ntime.sleep(60)\n"
NOTHING = "print('done')\n"


def program(folder: Path, text: str) -> Path:
    """The stand-in as a file."""
    path = folder / "convert_hf_to_gguf.py"
    path.write_text(text)
    return path
