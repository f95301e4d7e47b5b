"""Several prompts answered side by side, one llama.cpp call for all of them a token.

Reading the weights once for all prompts is what makes it fast. The price: sums are formed in
another order than one prompt at a time, so two tokens within rounding of each other may change
places. Hence the invariant: the answers to a group depend on the group alone, never on what ran
before or beside it, so the same groups give the same answers on the same machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from workbench.inference.decoder import BATCH_TOKENS, Decoder, Feed
from workbench.core.sampling import Sampling
from workbench.inference.generation import Answer, Writing

MAX_TOGETHER = 16
CACHE_BYTES = 1 << 30  # for the key-value caches of all sequences together


@dataclass(frozen=True)
class Job:
    """One prompt, already token ids, and how to answer it."""

    ids: Sequence[int]
    sampling: Sampling
    stop: Sequence[str] = field(default=())


def together(cache_bytes_per_token: int, context: int) -> int:
    """How many sequences of `context` tokens to answer side by side: 1 to 16, as memory allows.

    A pure function of the model and the settings, so that groups are the same on every run.
    """
    per_sequence = max(1, cache_bytes_per_token * context)
    return max(1, min(MAX_TOGETHER, CACHE_BYTES // per_sequence))


def answer_together(
    decoder: Decoder, jobs: Sequence[Job], stopping: Callable[[], bool] = lambda: False
) -> Iterator[tuple[int, Answer]]:
    """Yield (index of the job, answer) as each one ends.

    At most as many jobs as the decoder has sequences, each of which fits its context. Ends early,
    without the unfinished answers, when `stopping` says so.
    """
    decoder.clear()
    writings = [
        Writing(decoder.model, job.ids, job.sampling, job.stop, capacity=decoder.capacity)
        for job in jobs
    ]
    try:
        for feeds in _rounds(jobs, writings):
            if stopping():
                return
            rows = decoder.feed(feeds)
            for index, row in rows.items():
                writings[index].draw(decoder.pointer, row)
                if writings[index].ending is not None:
                    yield index, writings[index].answer()
    finally:
        for writing in writings:
            writing.close()


def _rounds(jobs: Sequence[Job], writings: Sequence[Writing]) -> Iterator[list[Feed]]:
    """What to feed, call by call: first the prompts, then the last token of all that go on."""
    yield from pack([job.ids for job in jobs], BATCH_TOKENS)
    while live := [i for i, writing in enumerate(writings) if writing.ending is None]:
        yield [Feed(i, [writings[i].last_token]) for i in live]


def pack(prompts: Sequence[Sequence[int]], room: int) -> Iterator[list[Feed]]:
    """Cut prompts, in order, into calls of at most `room` tokens; of each, the end is wanted."""
    call: list[Feed] = []
    free = room
    for index, ids in enumerate(prompts):
        at = 0
        while at < len(ids):
            piece = ids[at : at + free]
            at += len(piece)
            free -= len(piece)
            call.append(Feed(index, piece, wanted=int(at == len(ids))))
            if free == 0:
                yield call
                call, free = [], room
    if call:
        yield call
