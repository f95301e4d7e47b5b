"""The garbage collector is off where told, and on again afterwards."""

from __future__ import annotations

import gc

import pytest

from workbench.core.runtime import garbage_collection_paused


def test_it_is_off_within_and_on_afterwards() -> None:
    with garbage_collection_paused():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError), garbage_collection_paused():
        raise ValueError
    assert gc.isenabled()


def test_one_within_another_leaves_it_off() -> None:
    with garbage_collection_paused():
        with garbage_collection_paused():
            pass
        assert not gc.isenabled()


def test_what_was_made_is_not_looked_at_again() -> None:
    before = gc.get_freeze_count()
    with garbage_collection_paused():
        kept: list[list[int]] = [[] for _ in range(1000)]
    assert gc.get_freeze_count() >= before + len(kept)
