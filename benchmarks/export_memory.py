"""How the export's memory grows with the model: 0.3, 1.2 and 7.5 B parameters, to F16.

    python -m benchmarks.export_memory [--json FILE]

Each base is one layer that every layer's names point at, and the file has holes where its bytes
would be, so that a small disk does. What is read, merged, encoded and hashed is all of it. The goal
is a flat line: no more than 20 MiB for every billion more parameters.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.export_model import ONE_B, SEVEN_B, SMALLEST, Size, make_model
from benchmarks.export_steps import measured
from benchmarks.figures import Figure, tell

MIB = 2**20
SLOPE_GOAL = 20.0  # MiB for a billion parameters


def peak_mib(size: Size) -> float:
    """The largest resident set of an export of that size."""
    with tempfile.TemporaryDirectory(prefix="workbench-export-") as place:
        make_model(Path(place), size, repeated=True)
        return measured("sunk", Path(place), "f16").peak_bytes / MIB


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", default="")
    given = parser.parse_args()
    sizes = (SMALLEST, ONE_B, SEVEN_B)
    peaks = [peak_mib(size) for size in sizes]
    found = [
        Figure(f"to F16, {size.parameters / 1e9:.2f} B, memory", peak, "MiB", goal=200.0)
        for size, peak in zip(sizes, peaks, strict=True)
    ]
    billions = (sizes[-1].parameters - sizes[0].parameters) / 1e9
    slope = (peaks[-1] - peaks[0]) / billions
    found.append(Figure("memory for a billion more parameters", slope, "MiB", goal=SLOPE_GOAL))
    return tell(found, given.json)


if __name__ == "__main__":
    sys.exit(main())
