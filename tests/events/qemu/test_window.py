"""Windows: a number between two bounds, and what one can still say of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.events.qemu.window import FAR, OPEN, Window, as_signed, near, point

NUMBERS = st.integers(-(1 << 40), 1 << 40)


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
def test_a_difference_holds_every_difference(a: int, b: int, c: int, d: int) -> None:
    one, other = Window(min(a, b), max(a, b)), Window(min(c, d), max(c, d))
    assert one.less(other) == (min(x - y for x in (a, b) for y in (c, d)), max(x - y for x in (a, b) for y in (c, d)))


@given(NUMBERS, st.integers(1, 64), NUMBERS)
def test_near_is_congruent_and_at_most_half_a_turn_away(value: int, bits: int, where: int) -> None:
    found = near(value, bits, where)
    assert (found - value) % (1 << bits) == 0
    assert abs(found - where) <= 1 << (bits - 1)


def test_a_gap_is_signed_and_none_where_they_meet() -> None:
    assert Window(3, 5).gap(Window(9, 10)) == 4
    assert Window(3, 5).gap(Window(-2, 1)) == -2
    assert Window(3, 5).gap(Window(5, 9)) == Window(3, 5).gap(OPEN) == 0


def test_an_open_side_stays_open() -> None:
    assert Window(low=3).plus(4) == (7, FAR)
    assert Window(low=3).less(point(1)) == (2, FAR)
    assert point(9).less(Window(low=3)) == (-FAR, 6)
    assert OPEN.widened(2) == OPEN
    assert not Window(low=3).known


@pytest.mark.parametrize(("value", "read"), [((1 << 31) - 1, (1 << 31) - 1), (1 << 31, -(1 << 31)), ((1 << 32) + 5, 5)])
def test_as_signed_reads_as_a_register_does(value: int, read: int) -> None:
    assert as_signed(point(value)) == point(read)
