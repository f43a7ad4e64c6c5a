"""PIT, BookE decrementer, FIT and watchdog: cases worked out by hand from the manuals and the QEMU reference."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_embedded import SMALL, SWITCHES_40X, SWITCHES_BOOKE, WORDS, Living, flags, scripts

from livemig.timers.booke import QEMU as QEMU_BOOKE
from livemig.timers.booke import BookE, Guard
from livemig.timers.decrementer import Decrementer, Line
from livemig.timers.embedded import FIT, MAIN, WATCHDOG, Embedded
from livemig.timers.fixed_interval import FIT_440, WATCHDOG_440
from livemig.timers.ppc40x import QEMU as QEMU_40X
from livemig.timers.ppc40x import Ppc40x
from livemig.timers.tcr import ARE, DIE, DIS, ENW, FIE, FIS, WIE, WIS, WRS
from livemig.timers.ticks import NEVER

SYSTEM, CHIP = 3 << 28, 2 << 28


def leap(cpu: Living, limit: int = 1 << 40) -> bool:
    """To the next tick at which anything falls due; False if that is beyond ``limit``."""
    due = min(cpu.facility.due(timer, count) for timer, count in enumerate(cpu.state.counts))
    if due > limit:
        return False
    cpu.now = max(due, cpu.now)
    cpu.fall_due()
    return True


def events(cpu: Living, count: int) -> list[tuple[int, int]]:
    """The next interrupts; each handler clears TSR at once."""
    cpu.raised.clear()
    while len(cpu.raised) < count and leap(cpu):
        if cpu.up:
            cpu.write("tsr", 0xFFFF_FFFF)
    return cpu.raised


def living(facility: Embedded, *writes: tuple[str, int], tb: int = 0) -> Living:
    cpu = Living(facility, tb)
    for register, value in writes:
        cpu.write(register, value)
    return cpu


def test_the_pit_reloads_itself_without_drift_and_stops_at_0_without_are() -> None:
    cpu = living(Ppc40x(), ("tcr", DIE | ARE), ("pit", 1000))
    assert events(cpu, 3) == [(1000, MAIN), (2000, MAIN), (3000, MAIN)]
    assert cpu.facility.read(cpu.state, "pit", 3000, 0) == 1000
    assert cpu.facility.read(cpu.state, "pit", 3001, 0) == 999
    cpu = living(Ppc40x(), ("tcr", DIE), ("pit", 1000))
    assert events(cpu, 2) == [(1000, MAIN)]
    assert cpu.facility.read(cpu.state, "pit", 5000, 0) == 0


def test_a_pit_that_nobody_lived_through_for_ten_periods_is_late_once_and_stays_in_phase() -> None:
    """The blackout of a migration."""
    cpu = living(Ppc40x(), ("tcr", DIE | ARE), ("pit", 1000))
    change = cpu.facility.expire(cpu.state, MAIN, 10_500, 10_500)
    assert [(effect.line, effect.due) for effect in change.effects if effect.line is Line.RAISE] == [(Line.RAISE, 1000)]
    assert change.state.counts[MAIN] == Decrementer(11_000, armed=True)


@pytest.mark.parametrize(
    ("facility", "first", "second"),
    [(BookE(), 11_000, 12_000), (BookE(reload_from_callback=True), 11_500, 12_500)],
)
def test_decar_counts_from_when_it_was_due_or_as_qemu_from_the_callback(
    facility: BookE, first: int, second: int
) -> None:
    cpu = living(facility, ("decar", 1000), ("decr", 1000), ("tcr", DIE | ARE))
    cpu.now = 10_500
    cpu.fall_due()
    cpu.write("tsr", DIS)
    assert events(cpu, 2) == [(first, MAIN), (second, MAIN)]


def test_a_booke_decrementer_stops_at_0_and_a_written_0_is_no_interrupt_but_in_qemu() -> None:
    cpu = living(BookE(), ("tcr", DIE), ("decr", 5))
    assert events(cpu, 2) == [(5, MAIN)]
    assert [cpu.facility.read(cpu.state, "decr", tick, 0) for tick in (3, 4, 5, 6, 70)] == [2, 1, 0, 0, 0]
    assert living(BookE(), ("tcr", DIE), ("decr", 0)).raised == []
    assert living(BookE(zero_interrupts=True), ("tcr", DIE), ("decr", 0)).raised == [(0, MAIN)]


def test_qemus_inverted_comparison_reads_0_while_it_runs_and_negative_when_it_has_run_out() -> None:
    """Reference, section 3.2: in 7.2.7 to 7.2.22 "a running BookE DECR reads 0, an expired one reads negative"."""
    cpu = living(BookE(inverted_read=True), ("decr", 5))
    assert [cpu.facility.read(cpu.state, "decr", tick, 0) for tick in (0, 4, 5, 6, 70)] == [0, 0, 0, -1, -65]


@pytest.mark.parametrize(("fp", "period"), list(enumerate([2**9, 2**13, 2**17, 2**21])))
def test_the_fit_of_a_40x_comes_every_2_to_the_9_13_17_or_21_ticks(fp: int, period: int) -> None:
    cpu = living(Ppc40x(), ("tcr", FIE | fp << 24))
    assert events(cpu, 3) == [(period // 2 + n * period, FIT) for n in range(3)]
    cpu = living(Ppc40x(intervals_from_start=True), ("tcr", FIE | fp << 24))
    first, *more = [tick for tick, _ in events(cpu, 3)]
    assert first == 2**9  # it was started at the reset, when FP was 0
    assert more == [first + period, first + 2 * period]


@pytest.mark.parametrize(("fp", "bit"), list(enumerate([12, 16, 20, 24])))
def test_the_fit_of_a_440_comes_as_its_bit_of_tb_rises(fp: int, bit: int) -> None:
    cpu = living(BookE(fit_bits=FIT_440, watchdog_bits=WATCHDOG_440), ("tcr", FIE | fp << 24), tb=100)
    assert events(cpu, 2) == [(2**bit - 100, FIT), (2**bit - 100 + 2 ** (bit + 1), FIT)]


def test_an_e500_chooses_any_bit_of_tb() -> None:
    for bit in (0, 1, 17, 33):
        selector = 63 - bit
        tcr = FIE | (selector & 3) << 24 | selector >> 2 << 13
        assert events(living(BookE(), ("tcr", tcr)), 2) == [(2**bit, FIT), (3 * 2**bit, FIT)]
    never = living(BookE(), ("tcr", FIE))  # bit 63, 292 years at 1 GHz
    assert events(never, 1) == []


@pytest.mark.parametrize(("wrc", "kind"), [(0, None), (1, "core"), (2, "chip"), (3, "system")])
@pytest.mark.parametrize(("wp", "period"), list(enumerate([2**17, 2**21, 2**25, 2**29])))
def test_the_watchdog_wakes_barks_and_resets_at_its_three_time_outs(
    wp: int, period: int, wrc: int, kind: str | None
) -> None:
    cpu = living(Ppc40x(fit_never_started=True), ("tcr", WIE | wp << 30 | wrc << 28))
    seen = []
    for _ in range(3):
        if leap(cpu):
            seen.append((cpu.now, cpu.state.spr[1] & (ENW | WIS | WRS), cpu.reset))
    half = period // 2
    assert seen[:2] == [(half, ENW, None), (half + period, ENW | WIS, None)]
    assert cpu.raised == [(half + period, WATCHDOG)]
    if kind is None:
        assert len(seen) == 2  # nothing more is to come
    else:
        assert seen[2] == (half + 2 * period, ENW | WIS | wrc << 28, kind)


def test_who_pets_it_in_time_hears_nothing_and_after_the_bark_there_is_a_whole_period_left() -> None:
    cpu = living(Ppc40x(), ("tcr", WIE | SYSTEM))
    for n in range(20):
        cpu.now = n * 2**17
        cpu.fall_due()
        cpu.write("tsr", ENW)
    assert (cpu.raised, cpu.reset) == ([], None)
    leap(cpu), leap(cpu)
    assert len(cpu.raised) == 1
    assert cpu.facility.earliest_reset(cpu.state) == cpu.now + 2**17


def test_after_a_reset_wrs_tells_who_it_was_and_wrc_can_be_set_again() -> None:
    cpu = living(Ppc40x(), ("tcr", CHIP))
    cpu.write("tcr", SYSTEM)
    assert cpu.state.spr[0] == CHIP  # it sticks
    while cpu.reset is None:
        leap(cpu)
    for survives, tsr in ((True, CHIP), (False, 0)):
        facility = Ppc40x(wrs_survives=survives)
        fresh = facility.reset(cpu.state, cpu.reset, cpu.now, cpu.tb)
        assert fresh.spr[:2] == (0, tsr)
        assert fresh.counts[WATCHDOG] == Decrementer(cpu.now + 2**17, armed=True)  # TB counts on
    assert living(Ppc40x(wrc_sticky=False), ("tcr", CHIP), ("tcr", SYSTEM)).state.spr[0] == SYSTEM


def test_the_watchdog_is_critical_but_in_qemu() -> None:
    assert [timer.ee for timer in Ppc40x().timers] == [True, True, False]
    assert [timer.ee for timer in QEMU_BOOKE.timers] == [True, True, True]
    assert Ppc40x().priority[0] == WATCHDOG


def test_a_level_follows_tsr_and_tcr_and_a_pulse_is_gone_with_its_delivery() -> None:
    cpu = living(Ppc40x(), ("pit", 10))
    leap(cpu)
    assert cpu.raised == []
    cpu.write("tcr", DIE)  # PIS has been set for long
    assert cpu.up == {MAIN}
    cpu.write("tcr", 0)
    assert cpu.up == set()
    cpu = living(Ppc40x(level=False), ("pit", 10))
    leap(cpu)
    cpu.write("tcr", DIE)
    assert cpu.raised == []


@pytest.mark.parametrize(("on_enw", "by_pis", "by_enw"), [(True, {MAIN}, set()), (False, set(), {MAIN})])
def test_qemu_takes_a_pit_pulse_back_where_enw_is_cleared(on_enw: bool, by_pis: Any, by_enw: Any) -> None:
    """Reference, section 4: "the PIT line is lowered when bit 31 (ENW) of v is set, not PIS"."""
    for cleared, up in ((DIS, by_pis), (ENW, by_enw)):
        cpu = living(Ppc40x(level=False, tsr_clears_pit_on_enw=on_enw), ("tcr", DIE), ("pit", 10))
        leap(cpu)
        assert cpu.up == {MAIN}
        cpu.write("tsr", cleared)
        assert cpu.up == up


def test_qemus_40x_as_it_is() -> None:
    """Reference, section 4, line by line."""
    pit = living(QEMU_40X, ("pit", 100))
    assert pit.facility.due(MAIN, pit.state.counts[MAIN]) == NEVER  # PIE=0: it does not even count
    pit = living(QEMU_40X, ("tcr", DIE), ("pit", 100), ("tcr", DIE))
    assert pit.facility.due(MAIN, pit.state.counts[MAIN]) == NEVER  # a TCR write stops it without ARE …
    pit = living(QEMU_40X, ("tcr", DIE | ARE), ("pit", 100), ("tcr", DIE | ARE))
    assert pit.facility.due(MAIN, pit.state.counts[MAIN]) == 200  # … and with ARE adds a period
    small = living(QEMU_40X, ("tcr", DIE | ARE), ("pit", 1))
    assert small.facility.due(MAIN, small.state.counts[MAIN]) == NEVER
    fit = living(QEMU_40X, ("tcr", FIE))
    assert fit.facility.due(FIT, fit.state.counts[FIT]) == NEVER
    dog = living(QEMU_40X, ("tcr", WIE | SYSTEM))
    assert dog.state.spr[1] == ENW  # each write of TCR is a time-out
    dog.write("tcr", WIE | SYSTEM)
    assert (dog.state.spr[1], dog.raised) == (ENW | WIS, [(0, WATCHDOG)])
    dog.write("tcr", WIE | SYSTEM)
    assert dog.reset == "system"


def test_qemus_booke_as_it_is() -> None:
    """Reference, section 5: FIT and watchdog never start from a clean TSR; a resume clears what the watchdog set."""
    fit = living(QEMU_BOOKE, ("tcr", FIE | WIE | SYSTEM | 15 << 13 | 15 << 17 | 3 << 24 | 3 << 30))
    assert not leap(fit)
    state = fit.state._replace(spr=(0, ENW | WIS | SYSTEM | DIS | FIS, 0))
    assert QEMU_BOOKE.resumed(state, 0, 0).state.spr[1] == DIS | FIS
    assert BookE().resumed(state, 0, 0).state is state


def test_the_guard_as_its_comment_means_it_waits_for_the_acknowledgement() -> None:
    tcr = FIE | 15 << 13  # bit 3: every 16 ticks
    free, guarded = BookE(), BookE(guard=Guard.ACKNOWLEDGED)
    for facility, times in ((free, [8, 104]), (guarded, [8, 104])):
        cpu = living(facility, ("tcr", tcr))
        leap(cpu)
        assert not (cpu.facility is guarded and leap(cpu))
        cpu.now = 100
        cpu.write("tsr", FIS)
        leap(cpu)
        assert [tick for tick, _ in cpu.raised] == times
    cpu = living(BookE(guard=Guard.ACKNOWLEDGED, least=500), ("tcr", tcr))
    leap(cpu)
    assert cpu.now == 500  # QEMU: a millisecond at least


@given(st.integers(2, 5000), st.sampled_from([33_333_333, 16_600_000, 999_999_937, 512_000_000]), st.integers(1, 3000))
def test_a_reload_that_is_rounded_down_drifts_as_a_sum_of_rounded_periods_does(
    period: int, hz: int, periods: int
) -> None:
    """QEMU up to 8.1: ``next = decr_next + muldiv64(reload, 1e9, hz)``, in ns; acted upon at the next tick."""
    facility = Ppc40x(reload_rounds_down_at=hz)
    state = living(facility, ("tcr", ARE), ("pit", period)).state
    for k in range(min(periods, 60)):
        due = state.counts[MAIN].expiry
        ns = Fraction(period * 10**9, hz) + k * (period * 10**9 // hz)  # the first is started by a write
        assert due == ceil(ns * hz / 10**9)
        state = facility.expire(state, MAIN, due, due).state


def test_the_rounding_of_reloads_loses_a_tick_now_and_then_at_the_40x_s_frequency() -> None:
    """At 33.333333 MHz a tick is 30.0000003 ns: 33 333 ticks are 999 990.0099999 ns, of which 0.0099999 ns are lost,
    so a tick of 30 ns is lost in 3000.03 periods."""
    facility = Ppc40x(reload_rounds_down_at=33_333_333)
    state = living(facility, ("tcr", ARE), ("pit", 33_333)).state
    slips = 0
    for _ in range(6002):
        due = state.counts[MAIN].expiry
        state = facility.expire(state, MAIN, due, due).state
        slips += 33_333 - (state.counts[MAIN].expiry - due)
    assert slips == 2


def test_a_written_tb_moves_the_intervals_to_its_bits_but_not_qemus_timers() -> None:
    for facility, due in ((Ppc40x(), 5 + 256 - 100), (Ppc40x(intervals_from_start=True), 512)):
        state = living(facility, ("tcr", FIE)).state
        change = facility.timebase_written(state, 5, 100)
        assert change.state.counts[FIT].expiry == due
        assert (change.effects != ()) == (due != 512)


FACILITIES = st.one_of(
    flags(SWITCHES_40X).map(lambda switches: Ppc40x(**SMALL, **switches)),  # type: ignore[arg-type]
    st.builds(
        lambda switches, guard, e500: BookE(**({} if e500 else SMALL), guard=guard, **switches),  # type: ignore[arg-type]
        flags(SWITCHES_BOOKE),
        st.sampled_from(Guard),
        st.booleans(),
    ),
)


@settings(max_examples=200, deadline=None)
@given(FACILITIES, scripts("tcr"), st.integers(1, 40), st.integers(1, 40))
def test_what_is_promised_is_raised_at_its_tick_and_nothing_else_is(
    facility: Embedded, script: list[tuple[int, str, int]], first: int, reload: int
) -> None:
    """If nothing is written: the log's deadlines are the interrupts that come."""
    cpu = living(facility, (facility.main.name, first), *([("decar", reload)] if facility.main.name == "decr" else []))
    for wait, register, value in script:
        for _ in range(wait):
            cpu.tick()
        cpu.write(register, value)
        if cpu.reset:
            return
    for _ in range(60):
        promised = {timer: facility.promised(cpu.state, timer) for timer in range(3)}
        before = len(cpu.raised)
        cpu.tick()
        raised = {timer for _, timer in cpu.raised[before:]}
        assert raised == {timer for timer, due in promised.items() if due <= cpu.now}
        if cpu.reset:
            return


@settings(max_examples=200, deadline=None)
@given(
    FACILITIES, WORDS, st.lists(st.tuples(st.integers(0, 70), st.sampled_from([0, ENW, WIS, ENW | WIS])), max_size=6)
)
def test_no_reset_comes_before_the_earliest_that_was_told_and_the_last_one_told_is_exact(
    facility: Embedded, tcr: int, pets: list[tuple[int, int]]
) -> None:
    cpu = living(facility, ("tcr", tcr))
    told: list[int] = []
    for wait, pet in [*pets, (300, 0)]:
        for _ in range(wait):
            if cpu.reset:
                break
            told.append(facility.earliest_reset(cpu.state))
            cpu.tick()
        if cpu.reset:
            break
        cpu.write("tsr", pet)
    if cpu.reset and told:
        assert told[-1] == cpu.now
        # a watchdog that the guest starts anew may come sooner than an old one that was late
        assert all(tick <= cpu.now for tick in told)
