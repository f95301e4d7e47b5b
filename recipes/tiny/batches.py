"""Batches of documents of like length: little padding, one document a row, no attention mask."""

from collections.abc import Iterator
from itertools import islice
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor

from recipes.tiny.corpus import documents
from recipes.tiny.model import PAD_ID

POOL = 8_192  # documents sorted by length at a time
MAX_TOKENS = 512  # of one document; longer ones are left out


def _encoded(tokenizer: Tokenizer, seed: int) -> Iterator[tuple[list[int], int]]:
    """Ids of a document and how many of them stand before the trained part, without end."""
    stream = documents(seed)
    while True:
        pool = list(islice(stream, POOL))
        heads = tokenizer.encode_batch([d.head for d in pool], add_special_tokens=False)
        tails = tokenizer.encode_batch([d.tail for d in pool], add_special_tokens=False)
        for head, tail in zip(heads, tails, strict=True):
            yield head.ids + tail.ids, len(head.ids)


def _rows(pool: list[tuple[list[int], int]], tokens: int, rng: Random) -> list[list[int]]:
    order = sorted(range(len(pool)), key=lambda i: len(pool[i][0]) + rng.random() * 4)
    groups: list[list[int]] = []
    current: list[int] = []
    for i in order:
        if current and (len(current) + 1) * len(pool[i][0]) > tokens:
            groups.append(current)
            current = []
        current.append(i)
    rng.shuffle(groups)
    return groups


def _tensors(rows: list[tuple[list[int], int]]) -> tuple[Tensor, Tensor]:
    """(B, T) inputs padded on the right, (B, T) next-token labels, -100 where nothing is learnt."""
    width = max(len(ids) for ids, _ in rows)
    inputs = torch.full((len(rows), width), PAD_ID)
    labels = torch.full((len(rows), width), -100)
    for row, (ids, head) in enumerate(rows):
        first = max(head, 1)
        inputs[row, : len(ids)] = torch.tensor(ids)
        labels[row, first - 1 : len(ids) - 1] = torch.tensor(ids[first:])
    return inputs, labels


def batches(tokenizer: Tokenizer, seed: int, tokens: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of about `tokens` tokens, padding included, without end."""
    rng = Random(seed)
    stream = (item for item in _encoded(tokenizer, seed) if len(item[0]) <= MAX_TOKENS)
    while True:
        pool = list(islice(stream, POOL))
        for group in _rows(pool, tokens, rng):
            yield _tensors([pool[i] for i in group])
