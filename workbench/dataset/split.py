"""Which rows are held back for validation: a share of each kind, chosen by a hash of what they say.

Pure: the result depends on the rows and the seed alone, whatever their order or the machine. Rows
that begin alike, and rows that are near duplicates, never stand on both sides. Rows that are added
later move few of the others across.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

from workbench.dataset.duplicates import first_turn_key, join, near_groups, root, row_text
from workbench.dataset.rows import Row

NEAR_ROWS = 20_000
Stratum = tuple[str, str, str, str]


def split(rows: Sequence[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """(train, validation), each in the order of `rows`; validation has about `share` of them.

    Every stratum (source, kind, category, difficulty) gives its share, as far as its groups allow,
    and keeps at least one group for training. Near duplicates are kept together among up to
    20,000 rows (`NEAR_ROWS`); beyond, only rows with the same opening are.
    """
    assert 0 <= share < 1, "the preset's schema keeps the share in [0, 1)"
    if not share:
        return list(rows), []
    openings = [first_turn_key(row) for row in rows]
    strata: dict[Stratum, list[list[int]]] = defaultdict(list)
    for members in groups(rows, openings):
        strata[min(_stratum(rows[index]) for index in members)].append(members)
    held: set[int] = set()
    counts = {stratum: sum(map(len, found)) for stratum, found in strata.items()}
    for stratum, wanted in _quotas(counts, share, seed).items():
        order = {
            min(_hash(seed, openings[index]) for index in members): members
            for members in strata[stratum]
        }
        held.update(_choose([order[key] for key in sorted(order)], wanted))
    train = [row for index, row in enumerate(rows) if index not in held]
    return train, [row for index, row in enumerate(rows) if index in held]


def groups(rows: Sequence[Row], openings: Sequence[bytes]) -> Iterable[list[int]]:
    """Numbers of the rows that must stay together: one opening, or alike by however many steps."""
    few = len(rows) <= NEAR_ROWS
    roots = near_groups(map(row_text, rows)) if few else list(range(len(rows)))
    first: dict[bytes, int] = {}
    for index, opening in enumerate(openings):
        join(roots, first.setdefault(opening, index), index)
    found: dict[int, list[int]] = defaultdict(list)
    for index in range(len(rows)):
        found[root(roots, index)].append(index)
    return found.values()


def _stratum(row: Row) -> Stratum:
    return row.source, row.kind, row.category, row.difficulty


def _choose(groups: Sequence[Sequence[int]], wanted: int) -> Iterable[int]:
    """Rows of the first groups that fit into `wanted`; at least one group is left over."""
    taken: list[int] = []
    n_groups = 0
    for group in groups:
        if n_groups + 1 < len(groups) and len(taken) + len(group) <= wanted:
            taken.extend(group)
            n_groups += 1
    return taken


def _quotas(counts: Mapping[Stratum, int], share: float, seed: int) -> dict[Stratum, int]:
    """Rows each stratum gives, by largest remainder: they sum to the rounded share of all."""
    exact = {stratum: count * share for stratum, count in counts.items()}
    quotas = {stratum: int(value) for stratum, value in exact.items()}
    total = sum(counts.values())
    wanted = round(total * share) or (1 if total > 1 else 0)
    by_rest = sorted(
        (stratum for stratum in exact if counts[stratum] > 1),
        key=lambda stratum: (quotas[stratum] - exact[stratum], _hash(seed, repr(stratum).encode())),
    )
    for stratum in by_rest[: max(0, wanted - sum(quotas.values()))]:
        quotas[stratum] += 1
    return quotas


def _hash(seed: int, key: bytes) -> bytes:
    return blake2b(b"%d\x1d%b" % (seed, key), digest_size=16).digest()
