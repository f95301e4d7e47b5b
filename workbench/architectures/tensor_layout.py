"""How stored matrices become GGUF tensors: mostly one to one, experts stacked, MLA's split.

A GGUF tensor is a list of pieces, each a run of rows of one stored matrix, written one after the
other. So nothing larger than a piece is ever in memory, whatever is stacked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from workbench.architectures.model_config import ModelConfig

_EXPERT = re.compile(r"(.*\.experts\.)(\d+)\.(.*)")


@dataclass(frozen=True)
class RowRange:
    """Rows `[first, end)` of the stored `source`; `transposed`: their columns are the rows."""

    source: str
    first: int
    end: int
    transposed: bool = False


@dataclass(frozen=True)
class TensorPart:
    """A piece and its place: in the GGUF tensor that the Hugging Face `name` maps to.

    `of` 0: the piece is the whole tensor. Else the tensor has a leading dimension of that size and
    the piece, of `shape`, is number `index` of it.
    """

    name: str
    piece: RowRange
    shape: tuple[int, ...]
    index: int = 0
    of: int = 0


@dataclass(frozen=True)
class Storage:
    """What a model's files call its feed-forward and each expert's matrices (gate, up, down).

    `text`: pairs of what the names of a text model begin with in the files and in memory, for a
    checkpoint that holds other models beside it; none where all of it is one text model.
    """

    feed_forward: str = "mlp"
    experts: tuple[str, str, str] = ("gate_proj", "up_proj", "down_proj")
    text: tuple[tuple[str, str], ...] = ()

    def stored(self, name: str) -> str:
        """The name in the files of what transformers calls `name` in memory."""
        return name.replace(".mlp.", f".{self.feed_forward}.")

    def of_text(self, name: str) -> str:
        """The text model's own name of the tensor `name` of the files, empty for another's."""
        if not self.text:
            return name
        found = (own + name.removeprefix(at) for at, own in self.text if name.startswith(at))
        return next(found, "")


def whole(name: str, shape: tuple[int, ...], config: ModelConfig) -> Iterator[TensorPart]:
    """A stored tensor that is written as it is."""
    yield TensorPart(name, RowRange(name, 0, shape[0]), shape)


def experts(name: str, shape: tuple[int, ...], config: ModelConfig) -> Iterator[TensorPart]:
    """`...experts.3.up_proj.weight` is number 3 of `...experts.up_proj.weight`."""
    match = _EXPERT.fullmatch(name)
    if match is None:
        yield from whole(name, shape, config)
        return
    piece = RowRange(name, 0, shape[0])
    yield TensorPart(match[1] + match[3], piece, shape, int(match[2]), config.experts)


def parts_by_tensor(parts: Iterator[TensorPart]) -> dict[str, list[TensorPart]]:
    """The parts by tensor, those of each in order; tensors in the order of their first parts."""
    tensors = dict[str, list[TensorPart]]()
    for part in parts:
        tensors.setdefault(part.name, []).append(part)
    for pieces in tensors.values():
        pieces.sort(key=lambda part: part.index)
    return tensors
