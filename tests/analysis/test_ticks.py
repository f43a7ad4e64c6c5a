"""Ticks and nanoseconds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from livemig.analysis.ticks import error_ticks, signed, tick_ns, to_ns, to_ticks

HZ = st.sampled_from([16_600_000, 25_000_000, 33_333_333, 512_000_000, 1_000_000_000])
S = 1_000_000_000


@given(HZ, st.integers(0, 10**13), st.integers(0, 10**13))
def test_a_correct_timebase_has_no_error_whatever_its_phase(hz: int, begin: int, blackout: int) -> None:
    moved = (begin + blackout) * hz // S - begin * hz // S
    assert error_ticks(moved, blackout, hz) == 0


def test_an_error_is_the_distance_from_the_nearest_correct_reading() -> None:
    # 3 ns at 500 MHz are 1.5 ticks: 1 and 2 are right.
    assert [error_ticks(moved, 3, 500_000_000) for moved in (-1, 0, 1, 2, 3, 4)] == [-2, -1, 0, 0, 1, 2]
    # 4 ns are exactly 2.
    assert [error_ticks(moved, 4, 500_000_000) for moved in (1, 2, 3)] == [-1, 0, 1]


@given(st.integers(-(1 << 70), 1 << 70), st.sampled_from([8, 32, 56, 64]))
def test_signed_is_congruent_and_in_range(value: int, bits: int) -> None:
    assert (signed(value, bits) - value) % (1 << bits) == 0
    assert -(1 << (bits - 1)) <= signed(value, bits) < 1 << (bits - 1)


@given(st.integers(-(10**15), 10**15), HZ)
def test_ticks_survive_nanoseconds(ticks: int, hz: int) -> None:
    assert to_ticks(to_ns(ticks, hz), hz) == ticks


def test_a_tick_is_rounded_up() -> None:
    assert (tick_ns(512_000_000), tick_ns(1_000_000_000), tick_ns(16_600_000)) == (2, 1, 61)
