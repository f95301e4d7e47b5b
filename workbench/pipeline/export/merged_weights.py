"""The weights that were trained: base plus adapters, in order, in float32, rows at a time.

W + d1 + d2: a later adapter sees what an earlier one left, as peft's merge after merge does.
Where input and output embedding are one matrix and an adapter changes one of them, or both, each is
what it was in training; they stay one matrix only if they come out equal.
Invariant: names, shapes and whether the head is tied are settled on construction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from workbench.architectures.tensor_layout import Storage
from workbench.core.errors import UserError
from workbench.pipeline.export.peft_adapter import EMBEDDING, PeftAdapter, read_adapter
from workbench.pipeline.export.safetensors_reader import Float32, SafetensorsFolder
from workbench.pipeline.export.weight_deltas import WeightChange
from workbench.pipeline.models.weights import Weights

HEAD = "lm_head.weight"
COMPARED_ROWS = 4096
NAMED_ALIKE = Storage()


@dataclass(frozen=True)
class MergedTensor:
    """One weight with its factors in memory. `rows` gives the merged rows, float32, 2-D."""

    name: str
    shape: tuple[int, ...]
    source: SafetensorsFolder
    key: str
    changes: tuple[WeightChange, ...]

    def rows(self, first: int, end: int) -> Float32:
        rows = self.source.rows(self.key, first, end)
        for change in self.changes:
            rows = change.applied(rows, first)
        return rows


class MergedWeights:
    """Base and adapters as one set of named tensors.

    `tied`: the output head is the embedding; `parted`: it was, before the adapters; `headed`: it is
    not, though config.json says so, as in models that PEFT merged. `in_scope` leaves out tensors (a
    cut-off model).
    Raises UserError when an adapter does not fit the base.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        tied_in_config: bool,
        in_scope: Callable[[str], bool] = lambda name: True,
        storage: Storage = NAMED_ALIKE,
    ) -> None:
        self.base = SafetensorsFolder(weights.base).renamed(storage.of_text)
        self.adapters = [
            read_adapter(folder).stored_as(storage, self.base) for folder in weights.adapters
        ]
        self._in_scope = in_scope
        self._one_matrix = not self._has_own_head(tied_in_config)
        if self._one_matrix:
            self._tie_token_rows()
        for adapter in self.adapters:
            self.check_fits(adapter)
        self.tied = self._one_matrix and self._stays_one_matrix()
        self.parted = tied_in_config and self._one_matrix and not self.tied
        self.headed = tied_in_config and not self._one_matrix
        found = dict.fromkeys(self.base.tensors)
        for adapter in self.adapters:
            found |= dict.fromkeys(adapter.replacements)
        if not self.tied:
            found[HEAD] = None
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
        begun = self._begun(name)
        return (self.base.tensors[begun] if begun in self.base else source.tensors[key]).dtype

    def open(self, name: str) -> MergedTensor:
        """The tensor `name` with all its factors read."""
        source, key, adapters = self._source(name)
        changes = tuple(change for adapter in adapters for change in adapter.changes(name))
        return MergedTensor(name, source.shape(key), source, key, changes)

    def _source(self, name: str) -> tuple[SafetensorsFolder, str, list[PeftAdapter]]:
        """Where the values begin, and the adapters that then change them."""
        source, key, changing = self.base, self._begun(name), list[PeftAdapter]()
        for adapter in self.adapters:
            replaced = adapter.replaced(name, self.base, self._begun(name))
            if replaced is not None:
                source, key, changing = adapter.shards, replaced, []
            if name in adapter.changed:
                changing.append(adapter)
        return source, key, changing

    def _begun(self, name: str) -> str:
        """The base's tensor that `name` begins as: a head that is not stored is the embedding."""
        if name == HEAD and self._one_matrix:
            return self._base_embedding
        return name

    @property
    def _base_embedding(self) -> str:
        for name in self.base.tensors:
            if name.endswith(EMBEDDING):
                return name
        raise UserError("no tensor embed_tokens.weight", path=self.base.folder)

    def _has_own_head(self, tied_in_config: bool) -> bool:
        """Whether there is a head that is not the embedding, judged as transformers does.

        Of a config that ties them, a stored head counts only if it has other values.
        """
        if tied_in_config:
            return HEAD in self.base and not self._stored_head_is_embedding()
        return HEAD in self.base or any(HEAD in adapter.replacements for adapter in self.adapters)

    def _stored_head_is_embedding(self) -> bool:
        base, embedding = self.base, self._base_embedding
        if base.shape(HEAD) != base.shape(embedding):
            return False
        rows = base.shape(HEAD)[0]
        ends = (min(rows, first + COMPARED_ROWS) for first in range(0, rows, COMPARED_ROWS))
        spans = zip(range(0, rows, COMPARED_ROWS), ends, strict=True)
        return all(np.array_equal(base.rows(HEAD, *s), base.rows(embedding, *s)) for s in spans)

    def check_fits(self, adapter: PeftAdapter) -> None:
        """Raise UserError when the adapter changes what is not there, or is of another shape."""
        for name in adapter.changed:
            if not self._in_scope(name):
                continue
            if self._begun(name) not in self.base:
                message = f"the adapter changes {name}, which the base model does not have"
                raise UserError(message, path=adapter.folder)
            source, key, _ = self._source(name)
            have, want = adapter.delta_shape(name), source.shape(key)
            rows_fit = have[0] <= want[0] if name in adapter.token_rows else have[0] == want[0]
            if not rows_fit or have[1] != want[1]:
                message = f"{name} is {want} in the base model, but the adapter is for {have}"
                raise UserError(message, path=adapter.folder)

    def _tie_token_rows(self) -> None:
        """Of one matrix peft trains and saves single rows once, for both of its uses."""
        for adapter in self.adapters:
            rows = adapter.token_rows
            if self._base_embedding in rows and HEAD not in rows:
                rows[HEAD] = rows[self._base_embedding]
            whole = adapter.replacements  # a checkpoint of training has it once, too
            if adapter.config.get("ensure_weight_tying") and self._base_embedding in whole:
                whole.setdefault(HEAD, whole[self._base_embedding])

    def _stays_one_matrix(self) -> bool:
        ends = (HEAD, self._base_embedding)
        touched = any(
            name in adapter.changed or adapter.replaced(name, self.base, self._begun(name))
            for adapter in self.adapters
            for name in ends
        )
        return not touched or self._head_equals_embedding()

    def _head_equals_embedding(self) -> bool:
        one, two = self.open(self._base_embedding), self.open(HEAD)
        if one.shape != two.shape:
            return False
        for first in range(0, one.shape[0], COMPARED_ROWS):
            end = min(one.shape[0], first + COMPARED_ROWS)
            if not np.allclose(one.rows(first, end), two.rows(first, end), rtol=1e-5, atol=1e-7):
                return False
        return True
