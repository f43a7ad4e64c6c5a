"""Ticks and nanoseconds: exact, with the rounding that the module states."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from livemig.timers.ticks import muldiv64, muldiv64_round_up, ns_to_ticks, sign_extend, ticks_to_ns

HZ = st.integers(1, 10**9)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(1, 2**32 - 1))
def test_muldiv_is_the_floor_and_the_ceiling_of_the_exact_fraction_modulo_2_64(a: int, b: int, c: int) -> None:
    exact = Fraction(a * b, c)
    floor = exact.numerator // exact.denominator
    ceiling = floor if floor == exact else floor + 1
    assert muldiv64(a, b, c) == floor % 2**64
    assert muldiv64_round_up(a, b, c) == ceiling % 2**64


def test_muldiv_truncates_a_result_over_64_bits_as_qemu_does() -> None:
    assert muldiv64(2**64 - 1, 2**32 - 1, 1) == (2**64 - 1) * (2**32 - 1) % 2**64


@given(HZ, st.integers(-(2**60), 2**60))
def test_a_deadline_is_the_first_nanosecond_at_which_its_tick_is_complete(hz: int, ticks: int) -> None:
    ns = ticks_to_ns(hz, ticks)
    assert ns_to_ticks(hz, ns) == ticks
    assert ns_to_ticks(hz, ns - 1) == ticks - 1
    assert Fraction(ns - 1) < Fraction(ticks * 10**9, hz) <= ns


def test_rounding_down_both_ways_would_lose_98438_of_the_first_100000_values_at_512_mhz() -> None:
    """QEMU commit 8e0a5ac878, the figure recomputed here: what QEMU 8.1 and older did, and what rounding up mends."""
    hz = 512_000_000

    def read_back_low(to_ns) -> int:
        return sum(ns_to_ticks(hz, to_ns(n)) != n for n in range(1, 100_001))

    assert read_back_low(lambda n: n * 10**9 // hz) == 98_438
    assert read_back_low(lambda n: ticks_to_ns(hz, n)) == 0


@given(st.integers(-(2**70), 2**70), st.integers(1, 64))
def test_sign_extension_keeps_the_low_bits_and_is_in_range(value: int, bits: int) -> None:
    extended = sign_extend(value, bits)
    assert (extended - value) % 2**bits == 0
    assert -(2 ** (bits - 1)) <= extended < 2 ** (bits - 1)
