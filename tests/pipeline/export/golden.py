"""What a file of every architecture holds: keys with their values, tensors with shape and type.

A change of the gguf library, or of ours, shows as a difference of these pages. Written anew with
`python -m tests.pipeline.export.golden`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import gguf

from tests.pipeline.export.helpers import SHAPES, export, save_base
from workbench.pipeline.models.weights import Weights

FOLDER = Path(__file__).with_name("golden")
MAX_VALUE = 60


def page(path: Path) -> str:
    """The file as lines of text; of long lists the length alone."""
    reader = gguf.GGUFReader(path)
    lines = [
        f"{name} = {_value(field.contents())}"
        for name, field in sorted(reader.fields.items())
        if not name.startswith("GGUF.")
    ]
    lines += [
        f"{tensor.name} {[int(n) for n in tensor.shape]} {tensor.tensor_type.name}"
        for tensor in sorted(reader.tensors, key=lambda tensor: tensor.name)
    ]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, list) and len(value) > 8:
        return f"{len(value)} values"
    shown = f"{value:.6g}" if isinstance(value, float) else repr(value)
    return shown if len(shown) <= MAX_VALUE else f"{len(shown)} characters"


def dump(shape: str, folder: Path) -> str:
    """The page of a tiny model of that shape, as Q4_K_M: mixtures and fallbacks show."""
    base = save_base(folder / "base", shape)
    return page(export(Weights(base), folder, "q4_k_m")["q4_k_m"])


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for shape in SHAPES:
        with tempfile.TemporaryDirectory() as folder:
            (FOLDER / f"{shape}.txt").write_text(dump(shape, Path(folder)), encoding="utf-8")
