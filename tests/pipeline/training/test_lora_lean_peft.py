"""bitsandbytes comes along where something is quantized, and nowhere else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests import tiny

SCRIPT = """
import sys, warnings
from pathlib import Path
import torch
warnings.simplefilter("ignore")
from workbench.pipeline.training.model import Adapter, attach_adapter, load
from workbench.pipeline.models.weights import Weights

weights, cpu = Weights(Path(sys.argv[1])), torch.device("cpu")

def layer(quantization):
    model = load(weights, device=cpu, dtype=torch.float32, quantization=quantization)
    made = attach_adapter(model, Adapter(rank=2), seed=1)
    return type(made.base_model.model.model.layers[0].mlp.up_proj).__name__

print(layer("none"), "bitsandbytes" in sys.modules, "torch._inductor.compile_fx" in sys.modules)
print(layer("nf4"), "bitsandbytes" in sys.modules)
"""


def test_it_is_imported_once_a_model_is_quantized(tmp_path: Path) -> None:
    base = tiny.save_base(tmp_path / "base")
    command = [sys.executable, "-c", SCRIPT, str(base)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["Linear", "False", "False", "Linear4bit", "True"]
