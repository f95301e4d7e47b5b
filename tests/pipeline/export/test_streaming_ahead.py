"""Jobs done ahead: in order, few at a time, and what one raises comes out in its turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from workbench.pipeline.export.streaming import WAITING, ordered_map


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_order(threads: int) -> None:
    assert list(ordered_map(lambda n: n * n, range(50), threads)) == [n * n for n in range(50)]


def test_two_jobs_run_side_by_side() -> None:
    """Each waits for the other: alone it would wait for ever."""
    meeting = threading.Barrier(2, timeout=30)
    assert len(list(ordered_map(lambda n: meeting.wait(), range(8), 2))) == 8


def test_no_more_is_taken_on_than_the_caller_can_follow() -> None:
    taken = list[int]()

    def jobs() -> Iterator[int]:
        for n in range(100):
            taken.append(n)
            yield n

    results = ordered_map(lambda n: n, jobs(), 2)
    assert next(results) == 0
    assert len(taken) <= 2 + WAITING
    results.close()
    assert len(taken) <= 2 + WAITING


def test_an_error_comes_in_its_turn_and_ends_it() -> None:
    done = list[int]()
    with pytest.raises(ZeroDivisionError):
        for result in ordered_map(lambda n: 1 // (n - 3), range(100), 2):
            done.append(result)
    assert len(done) == 3
