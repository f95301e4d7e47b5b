"""The processes that train one stage together, and what they tell each other.

Invariant: what a step decides (its loss, that it fits, to stop, to save) is one value on every
rank, so no rank waits for an exchange that another never comes to. Sums are taken in the order of
the ranks. Alone nothing is sent, and every method gives back what it was given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

BUCKET_ELEMENTS = 1 << 24  # gradients that are exchanged at once: 64 MiB of float32


@dataclass(frozen=True)
class ProcessGroup:
    """This process's place among `size` that train; the process group stands already."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes, emits and decides."""
        return self.rank == 0

    def gather(self, *values: float) -> list[tuple[float, ...]]:
        """The values of every rank, by rank; all ranks give as many."""
        if self.size == 1:
            return [values]
        mine = torch.tensor(values, dtype=torch.float64)
        all_of = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(all_of, mine)
        return [tuple(one.tolist()) for one in all_of]

    def total(self, value: float) -> float:
        """The sum over all ranks."""
        return sum(one for (one,) in self.gather(value)) if self.size > 1 else value

    def any(self, value: bool) -> bool:
        """Whether some rank says so."""
        return any(one for (one,) in self.gather(value))

    def agree(self, value: bool) -> bool:
        """What the first rank says."""
        return bool(self.gather(value)[0][0])

    def words(self, text: str) -> list[str]:
        """The text of every rank, by rank."""
        if self.size == 1:
            return [text]
        said = text.encode()
        lengths = [int(length) for (length,) in self.gather(len(said))]
        mine = torch.zeros(max(lengths), dtype=torch.uint8)
        mine[: len(said)] = torch.tensor(list(said), dtype=torch.uint8)
        all_of = [torch.empty_like(mine) for _ in lengths]
        if len(mine):
            dist.all_gather(all_of, mine)
        return [bytes(t[:n].tolist()).decode() for t, n in zip(all_of, lengths, strict=True)]

    def mine(self, costs: Sequence[int], even: bool = False) -> list[int]:
        """Which pieces of work this rank takes, by number; see `shared`.

        Where all ranks are to take as many (`even`), ~n stands for piece n, done and not counted.
        """
        shares = shared(costs, self.size)
        idle = max(map(len, shares)) - len(shares[self.rank]) if even else 0
        return shares[self.rank] + [~costs.index(min(costs))] * idle

    @torch.no_grad()
    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Every gradient becomes its sum over all ranks; one that no rank has stays None.

        In buckets of fixed bounds after the last backward pass: the order of additions, and so
        the bits, hang on nothing but the parameters. A rank without work has zeros to add.
        """
        if self.size == 1:
            return
        kept = list(parameters)
        there = torch.tensor([p.grad is not None for p in kept], dtype=torch.uint8)
        dist.all_reduce(there, dist.ReduceOp.MAX)
        used = [p for p, has in zip(kept, there.tolist(), strict=True) if has]
        for parameter in used:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for bucket in _buckets([_gradient(p) for p in used]):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            dist.all_reduce(flat)
            for gradient, summed in zip(
                bucket, flat.split([g.numel() for g in bucket]), strict=True
            ):
                gradient.copy_(summed.view_as(gradient))


SINGLE_PROCESS = ProcessGroup()


def shared(costs: Sequence[int], size: int) -> list[list[int]]:
    """Numbers of the pieces that each of `size` ranks takes: costliest first, to the least laden.

    A function of the costs alone; within a rank pieces keep their order.
    """
    loads, shares = [0] * size, [list[int]() for _ in range(size)]
    for number in sorted(range(len(costs)), key=lambda n: (-costs[n], n)):
        lightest = loads.index(min(loads))
        loads[lightest] += costs[number]
        shares[lightest].append(number)
    return [sorted(share) for share in shares]


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Neighbours of one dtype, up to BUCKET_ELEMENTS together; a larger one alone."""
    bucket: list[Tensor] = []
    for gradient in gradients:
        elements = sum(g.numel() for g in bucket) + gradient.numel()
        if bucket and (elements > BUCKET_ELEMENTS or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket
