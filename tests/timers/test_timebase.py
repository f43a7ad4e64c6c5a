"""The timebase as a snapshot tuple."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from livemig.timers.timebase import Timebase

NS = st.integers(-(10**15), 10**15)
BASES = st.builds(Timebase, st.integers(0, 2**64 - 1), NS, st.integers(1, 10**9))


@given(BASES, NS)
def test_it_reads_its_value_at_its_clock_time_and_counts_whole_ticks_from_there(base: Timebase, ns: int) -> None:
    assert base.read(base.clock_ns) == base.value
    exact = Fraction((ns - base.clock_ns) * base.hz, 10**9)
    assert base.read(ns) == (base.value + exact.__floor__()) % 2**64


@given(BASES, NS, st.integers(0, 2**64 - 1), st.integers(0, 10**12))
def test_a_written_value_is_read_back_at_once_and_the_ticks_keep_their_phase(
    base: Timebase, ns: int, value: int, later: int
) -> None:
    written = base.written(ns, value)
    assert written.read(ns) == value
    assert written.ticks(ns + later) == base.ticks(ns + later)
    assert (written.read(ns + later) - value) % 2**64 == base.ticks(ns + later) - base.ticks(ns)


@given(BASES, NS, st.integers(0, 10**12), st.integers(0, 10**12))
def test_advancing_in_two_steps_is_advancing_once_nothing_is_rounded(base: Timebase, ns: int, a: int, b: int) -> None:
    assert base.advanced(a).advanced(b) == base.advanced(a + b)
    assert base.advanced(a).read(ns) == base.read(ns + a)


@given(BASES, st.integers(-(2**50), 2**50))
def test_the_instant_of_a_tick_is_the_first_nanosecond_at_which_it_is_counted(base: Timebase, ticks: int) -> None:
    at = base.instant(ticks)
    assert base.ticks(at) == ticks
    assert base.ticks(at - 1) == ticks - 1


def test_by_hand_g3beige_ticks_sixteen_times_in_its_first_microsecond() -> None:
    base = Timebase(100, 5_000, 16_600_000)
    assert [base.read(5_000 + ns) for ns in (0, 60, 61, 999, 1_000)] == [100, 100, 101, 116, 116]
