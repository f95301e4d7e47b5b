"""Where a model's weights lie: a base folder and the adapters on top of it, in order.

The weights meant are W + d1 + d2 ..., each delta an adapter's, added in float32. Training merges
them when it loads a base; the export adds them tensor by tensor.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Weights:
    """`base`: a folder in Hugging Face layout. `adapters`: PEFT folders, applied in order."""

    base: Path
    adapters: tuple[Path, ...] = ()
