"""What each strategy does to TB and DECR, against arithmetic by hand and the formulas of the thread.

N is the blackout in ticks, r the DECR at the stop, s the destination's time of day minus the source's.
"""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from livemig.errors import ProtocolError
from livemig.machine.cpu import TimerState
from livemig.machine.time_state import HostView, TimeState
from livemig.strategies.table import STRATEGIES
from livemig.timers.book3s import Book3S
from livemig.timers.decrementer import Decrementer, DecrementerModel
from livemig.timers.timebase import Timebase

EDGE, LEVEL = Book3S(), Book3S(DecrementerModel(level=True))
MS = 1_000_000


def running(hz: int, clock_ns: int, decr: list[int], model: Book3S = EDGE) -> TimeState:
    """A machine that has run since its clock was 0, its decrementers armed at the given values."""
    base = Timebase(0, 0, hz)
    now = base.ticks(clock_ns)
    states = tuple(TimerState(Decrementer(now + value, value > 0)) for value in decr)
    return TimeState(clock_ns, (base,) * len(decr), states, model)


def fresh(like: TimeState, clock_ns: int = 0) -> TimeState:
    """The destination's machine at reset."""
    base = Timebase(0, 0, like.timebase.hz)
    count = len(like.cpus)
    timers = (TimerState(like.facility.at_reset().counts[0]),) * count
    return TimeState(clock_ns, (base,) * count, timers, like.facility)


def host(time_of_day_ns: int) -> HostView:
    return HostView(time_of_day_ns, 0, 10**9)


def crossed(name: str, before: TimeState, blackout_ns: int, skew_ns: int = 0) -> TimeState:
    strategy = STRATEGIES[name]
    saved = strategy.save(before, host(2 * 10**18))
    assert strategy.check(saved, len(before.cpus)) is saved
    return strategy.restore(fresh(before), saved, host(2 * 10**18 + blackout_ns + skew_ns))


def test_by_hand_half_a_second_at_16_6_mhz() -> None:
    """g3beige, stopped 2 s after its start with DECR = 10,000,000 and 1000; blackout 0.5 s = 8,300,000 ticks."""
    before = running(16_600_000, 2_000_000_000, [10_000_000, 1_000])
    assert before.tb() == 33_200_000

    none = crossed("none", before, 500 * MS)
    assert none.tb() == 33_200_000  # frozen: 8.3 M ticks behind the world
    assert [none.decr(0), none.decr(1)] == [-33_200_001, -33_200_001]  # -TB - 1
    assert none.timers[0].count.expiry == 4_294_967_295  # 256.7 s from here

    absolute = crossed("absolute", before, 500 * MS)
    assert absolute.tb() == 41_500_000
    assert [absolute.decr(0), absolute.decr(1)] == [10_000_000, 1_000]  # 8.3 M ticks too many

    right = crossed("tb-offset", before, 500 * MS)
    assert right.tb() == 41_500_000
    assert [right.decr(0), right.decr(1)] == [1_700_000, -8_299_000]


def test_none_leaves_a_level_cpu_without_a_timer_for_ever() -> None:
    """QEMU 7.2 on pseries: no interrupt even past 2^32 ticks (``q72-pseries-past-2e32``)."""
    after = crossed("none", running(512_000_000, 10**9, [5000], LEVEL), 100 * MS)
    assert not after.timers[0].count.armed


STOPS = st.builds(
    running,
    st.integers(1, 10**9),
    st.integers(0, 10**13),
    st.lists(st.integers(1, 2**31 - 1), min_size=1, max_size=3),
    st.sampled_from([EDGE, LEVEL]),
)
BLACKOUT = st.integers(0, 10**12)


def ticks(hz: int, ns: int) -> Fraction:
    return Fraction(ns * hz, 10**9)


@given(STOPS, BLACKOUT, st.integers(-(10**10), 10**10))
def test_tb_offset_is_skew_times_frequency_off_and_exact_without_skew(
    before: TimeState, blackout: int, skew: int
) -> None:
    after = crossed("tb-offset", before, blackout, skew)
    measured = max(0, blackout + skew)  # TB never goes back
    ideal = ticks(before.timebase.hz, before.clock_ns + measured).__floor__()
    assert after.tb() == ideal
    for cpu in before.cpus:  # coherent: TB + DECR is what it was
        coherent = after.tb() + after.decr(cpu) - before.tb() - before.decr(cpu)
        assert coherent % 2**32 == 0


@given(STOPS, BLACKOUT)
def test_absolute_leaves_decr_as_it_was_so_it_is_the_blackout_too_large(before: TimeState, blackout: int) -> None:
    after = crossed("absolute", before, blackout)
    assert after.tb() == ticks(before.timebase.hz, before.clock_ns + blackout).__floor__()
    assert [after.decr(i) for i in after.cpus] == [before.decr(i) for i in before.cpus]


@given(STOPS, BLACKOUT)
def test_none_freezes_tb_and_reads_minus_tb_minus_one(before: TimeState, blackout: int) -> None:
    assume(before.tb() < 2**31)
    after = crossed("none", before, blackout)
    assert after.tb() == before.tb()
    assert {after.decr(i) for i in after.cpus} == {-before.tb() - 1}


@given(STOPS, st.lists(BLACKOUT, min_size=1, max_size=8))
def test_over_many_hops_tb_offset_gathers_no_rounding_error(before: TimeState, blackouts: list[int]) -> None:
    state, world = before, before.clock_ns
    for blackout in blackouts:
        state = crossed("tb-offset", state, blackout)
        world += blackout
    assert state.tb() == ticks(before.timebase.hz, world).__floor__()


@pytest.mark.parametrize("name", ["absolute", "tb-offset"])
@pytest.mark.parametrize("model", [EDGE, LEVEL], ids=["edge", "level"])
def test_an_interrupt_raised_but_masked_at_the_stop_is_pending_on_the_other_side(
    name: str, model: Book3S
) -> None:
    now = 1_000_000
    due = now - 500
    state = TimerState(Decrementer(due, False), pending=due, line=due if model.main.level else None)
    before = TimeState(10**9, (Timebase(0, 0, 10**6),), (state,), model)
    after = crossed(name, before, 250 * MS)
    assert after.timers[0].pending is not None
    assert not after.timers[0].count.armed
    assert crossed("none", before, 250 * MS).timers[0].pending is None  # lost (q72-mac99-stopcopy-pending)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("spoil", ["missing", "more", "text", "bool", "huge", "count"])
def test_a_malformed_saved_state_is_refused(name: str, spoil: str) -> None:
    strategy = STRATEGIES[name]
    saved = dict(strategy.save(running(10**6, 10**9, [5, 6]), host(0)))
    lists = [key for key in saved if isinstance(saved[key], list)]
    if spoil == "count" and not lists:
        pytest.skip("nothing per CPU in it")
    match spoil:
        case "missing":
            saved.popitem()
        case "more":
            saved["extra"] = 1
        case "text":
            saved["clock_ns"] = "soon"
        case "bool":
            saved["clock_ns"] = True
        case "huge":
            saved["clock_ns"] = 1 << 63
        case "count":
            saved[lists[0]] = [1]
    with pytest.raises(ProtocolError, match=r"timebase\.saved"):
        strategy.check(saved, 2)
