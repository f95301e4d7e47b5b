"""Rotary embeddings that depend on a sequence's length, each sequence by its own.

longrope (Phi-3, Phi-4-mini) has two sets of frequencies, dynamic NTK one for every length beyond
the original one. transformers chooses by the longest sequence of a batch, for all of its rows, and
dynamic NTK keeps what an earlier batch has left. So the loss of a row would depend on the rows that
happen to be computed with it.

Invariant: whatever is packed or padded beside a sequence, and whatever was computed before, its
cosines and sines are those of the sequence alone in a fresh model. Batches that lie on one side of
the switch are computed as transformers computes them, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def separate_sequences(model: nn.Module) -> None:
    """Have every rotary embedding of `model` whose frequencies depend on length go by sequence."""
    found = [
        (name, module)
        for name, module in model.named_modules()
        if _depends(getattr(module, "rope_type", None))
    ]
    for name, module in found:
        parent, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(parent), attribute, SequenceRotary(module))


def keeps_frequencies(model: nn.Module, first: int, last: int) -> bool:
    """Whether a sequence that grows from `first` to `last` tokens has the same ones all the way.

    Else its cached keys are not those that the longer sequence would have.
    """
    rotaries = [module for module in model.modules() if isinstance(module, SequenceRotary)]
    return all(rotary.keeps(first, last) for rotary in rotaries)


class SequenceRotary(nn.Module):
    """Wraps a rotary embedding of transformers; called as that one is.

    A sequence begins at position 0, and at a row's first column: rows laid end to end, rows padded
    on either side and tokens after a cache are all told apart by their positions.
    """

    def __init__(self, rotary: Any) -> None:
        super().__init__()
        self.rotary: Any = rotary

    def forward(self, x: Tensor, position_ids: Tensor, layer_type: str | None = None) -> Any:
        """Cosines and sines (B, T, D) for `position_ids` (B, T), as the wrapped one gives them."""
        kind = self._kind(layer_type)
        if not _depends(kind):
            return self._fresh(x, position_ids, layer_type)
        lengths = sequence_lengths(position_ids.cpu()).reshape(-1)
        beyond = lengths > self._original(layer_type)
        sides = beyond.long() if kind == "longrope" else lengths.where(beyond, 0)
        found = sides.unique().tolist()
        if len(found) == 1:
            return self._fresh(x, position_ids, layer_type)
        groups = [(sides == side).nonzero()[:, 0].to(position_ids.device) for side in found]
        flat = position_ids.reshape(-1)
        parts = [self._fresh(x, flat[group][None], layer_type) for group in groups]
        if isinstance(parts[0], Tensor):
            return _put_back(parts, groups, position_ids.shape)
        return tuple(
            _put_back(values, groups, position_ids.shape) for values in zip(*parts, strict=True)
        )

    def keeps(self, first: int, last: int) -> bool:
        """Whether sequences of `first` to `last` tokens have the same frequencies in all layers."""
        kinds = self.rotary.rope_type
        for layer_type in kinds if isinstance(kinds, Mapping) else (None,):
            kind = self._kind(layer_type)
            if not _depends(kind) or last <= self._original(layer_type):
                continue
            if kind != "longrope" or first <= self._original(layer_type):
                return False
        return True

    def _fresh(self, x: Tensor, position_ids: Tensor, layer_type: str | None) -> Any:
        """What the wrapped embedding gives when nothing was computed before."""
        named = {} if layer_type is None else {"layer_type": layer_type}
        if "dynamic" in self._kind(layer_type):
            prefix = "" if layer_type is None else f"{layer_type}_"
            first = getattr(self.rotary, f"{prefix}original_inv_freq").to(x.device)
            setattr(self.rotary, f"{prefix}inv_freq", first)
            setattr(self.rotary, f"{prefix}max_seq_len_cached", self.rotary.original_max_seq_len)
        return self.rotary(x, position_ids, **named)

    def _kind(self, layer_type: str | None) -> str:
        """The rope type of the layers of that type; without types, of all layers."""
        kinds = self.rotary.rope_type
        return str(kinds if layer_type is None else kinds[layer_type])

    def _original(self, layer_type: str | None) -> int:
        """The longest sequence, in tokens, that has the first frequencies."""
        if self._kind(layer_type) != "longrope":
            return int(self.rotary.original_max_seq_len)
        parameters = self.rotary.config.rope_parameters
        values = parameters if layer_type is None else parameters[layer_type]
        return int(values["original_max_position_embeddings"])


def sequence_lengths(position_ids: Tensor) -> Tensor:  # (B, T) -> (B, T)
    """For each token, the length of its sequence up to the last position at hand."""
    starts = position_ids == 0
    starts[:, 0] = True
    number = starts.cumsum(1) - 1
    last = torch.zeros_like(position_ids).scatter_reduce(1, number, position_ids, "amax")
    return last.gather(1, number) + 1


def _depends(kind: str | Mapping[str, str] | None) -> bool:
    """Whether frequencies of a rope type, or of one of several, depend on the length."""
    kinds = kind.values() if isinstance(kind, Mapping) else (kind or "",)
    return any("dynamic" in one or one == "longrope" for one in kinds)


def _put_back(parts: Any, groups: list[Tensor], shape: torch.Size) -> Tensor:
    """Values of groups of tokens, (1, n, ...) each, where the tokens are: (B, T, ...)."""
    whole = parts[0].new_empty((shape.numel(), *parts[0].shape[2:]))
    for part, group in zip(parts, groups, strict=True):
        whole[group] = part[0]
    return whole.reshape(*shape, *whole.shape[1:])
