"""Ids in an array: found at the places where a search through the numbers finds them."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from workbench.tokenization.sequences import TYPE, positions_of

NUMBERS = st.one_of(st.sampled_from([0, 1, 255, 256, 65536, 0xD800, 0x10FFFF]), st.integers(0, 300))
LARGER = st.sampled_from([0x110000, 2**31 - 1])  # than any code point


@given(
    ids=st.lists(st.one_of(NUMBERS, LARGER), max_size=50),
    wanted=st.sets(st.one_of(NUMBERS, LARGER), max_size=4),
)
def test_places_are_those_of_a_plain_search(ids: list[int], wanted: set[int]) -> None:
    found = positions_of(wanted, array(TYPE, ids))
    assert found == [at for at, number in enumerate(ids) if number in wanted]
