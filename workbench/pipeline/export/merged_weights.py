"""The weights that were trained: base plus adapters, in order, in float32, rows at a time.

W + d1 + d2: a later adapter sees what an earlier one left, as peft's merge after merge does.
Invariant: names, shapes and the tied head are settled on construction, before any tensor is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from workbench.errors import UserError
from workbench.pipeline.export.adapter import EMBEDDING, Adapter, Delta, read_adapter
from workbench.pipeline.export.shards import Float32, Shards
from workbench.pipeline.training.weights import Weights

HEAD = "lm_head.weight"
COMPARED_ROWS = 4096


@dataclass(frozen=True)
class MergedTensor:
    """One weight with its factors in memory. `rows` gives the merged rows, float32, 2-D."""

    name: str
    shape: tuple[int, ...]
    source: Shards
    key: str
    deltas: tuple[Delta, ...]

    def rows(self, first: int, end: int) -> Float32:
        rows = self.source.rows(self.key, first, end)
        for delta in self.deltas:
            rows = delta.applied(rows, first)
        return rows


class MergedWeights:
    """Base and adapters as one set of named tensors.

    `tied`: the output head is the embedding. `in_scope` leaves out tensors (a cut-off model).
    Raises UserError when an adapter does not fit the base.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        tied_in_config: bool,
        in_scope: Callable[[str], bool] = lambda name: True,
    ) -> None:
        self.base = Shards(weights.base)
        self.adapters = [read_adapter(folder) for folder in weights.adapters]
        self._in_scope = in_scope
        for adapter in self.adapters:
            self.check_fits(adapter)
        self.tied = self._is_tied(tied_in_config)
        found = dict.fromkeys(self.base.tensors)
        for adapter in self.adapters:
            found |= dict.fromkeys(adapter.replacements)
        self.names = [n for n in found if in_scope(n) and not (self.tied and n == HEAD)]
        for name in self.names:
            if name in self.base:
                self.base.check_readable(name)

    @property
    def embedding(self) -> str:
        """The name of the input embedding."""
        for name in self.names:
            if name.endswith(EMBEDDING):
                return name
        raise UserError("no tensor embed_tokens.weight", path=self.base.folder)

    def shape(self, name: str) -> tuple[int, ...]:
        source, key, _ = self._source(name)
        return source.shape(key)

    def stored_dtype(self, name: str) -> str:
        """The number format the tensor comes in (`F32`, `F16`, `BF16`, `F64`)."""
        source, key, _ = self._source(name)
        where = self.base if name in self.base else source
        return where.tensors[name if where is self.base else key].dtype

    def open(self, name: str) -> MergedTensor:
        """The tensor `name` with all its factors read."""
        source, key, adapters = self._source(name)
        deltas = tuple(adapter.delta(name) for adapter in adapters)
        return MergedTensor(name, source.shape(key), source, key, deltas)

    def _source(self, name: str) -> tuple[Shards, str, list[Adapter]]:
        """Where the values begin, and the adapters that then add to them."""
        source, key, adding = self.base, name, list[Adapter]()
        for adapter in self.adapters:
            replaced = adapter.replaced(name, self.base)
            if replaced is not None:
                source, key, adding = adapter.shards, replaced, []
            if name in adapter.modules:
                adding.append(adapter)
        return source, key, adding

    def check_fits(self, adapter: Adapter) -> None:
        """Raise UserError when the adapter changes what is not there, or is of another shape."""
        for name in adapter.modules:
            if not self._in_scope(name):
                continue
            if name not in self.base:
                message = f"changes {name}, which the base does not have"
                raise UserError(message, path=adapter.folder)
            source, key, _ = self._source(name)
            if adapter.delta_shape(name) != source.shape(key):
                have, want = adapter.delta_shape(name), source.shape(key)
                message = f"{name} is {want} in the base, the adapter's factors are for {have}"
                raise UserError(message, path=adapter.folder)

    def _is_tied(self, tied_in_config: bool) -> bool:
        heads = [a for a in self.adapters if a.replaced(HEAD, self.base)]
        if not tied_in_config and (HEAD in self.base or heads):
            return False
        for adapter in self.adapters:
            self._refuse_half_of_a_tie(adapter)
        return not heads or self._head_equals_embedding()

    def _refuse_half_of_a_tie(self, adapter: Adapter) -> None:
        """A change of one of two tied matrices has no single meaning after the merge."""
        hint = "leave embed_tokens and lm_head out, or save both in modules_to_save"
        changed = [n for n in adapter.modules if n.endswith(EMBEDDING) or n == HEAD]
        saved = [n for n in adapter.replacements if n.endswith(EMBEDDING)]
        if changed or (saved and HEAD not in adapter.replacements):
            name = (changed or saved)[0]
            message = f"changes {name} alone, but input and output embedding are one matrix"
            raise UserError(message, path=adapter.folder, hint=hint)

    def _head_equals_embedding(self) -> bool:
        (embedding,) = [n for n in self.base.tensors if n.endswith(EMBEDDING)]
        one, two = (self._plain(name) for name in (embedding, HEAD))
        if one is None or two is None or one[0].shape(one[1]) != two[0].shape(two[1]):
            return False
        n_rows = one[0].shape(one[1])[0]
        for first in range(0, n_rows, COMPARED_ROWS):
            end = min(n_rows, first + COMPARED_ROWS)
            if not np.array_equal(one[0].rows(one[1], first, end), two[0].rows(two[1], first, end)):
                return False
        return True

    def _plain(self, name: str) -> tuple[Shards, str] | None:
        source, key, _ = self._source(name)
        return (source, key) if key in source else None
