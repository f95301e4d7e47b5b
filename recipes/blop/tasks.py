"""Some of the pairs as TASK/CODE blocks: `python -m recipes.blop.tasks > data/blop/tasks.txt`.

The same programs as in `examples.txt`, in the form of the second Blop project.
"""

from __future__ import annotations

from pathlib import Path

from workbench.dataset.sources import read_source

EXAMPLES = Path("data/blop/examples.txt")
EVERY = 9


def tasks(examples: Path = EXAMPLES) -> str:
    """Every ninth pair that defines something, as text."""
    rows = [row for row in read_source(examples).rows if row.expected.startswith("def ")]
    blocks = [f"TASK: {row.messages[0].content}\nCODE:\n{row.expected}\n" for row in rows[::EVERY]]
    return "\n".join(blocks)


if __name__ == "__main__":
    print(tasks(), end="")
