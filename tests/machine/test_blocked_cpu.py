"""A CPU that stands for a page: its timers go on, its execution does not, and goes on later by just as much."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from test_train import StepByStep, rows

from livemig.guests.periodic import Periodic
from livemig.machine.cpu import Cpu
from livemig.machine.slot import Masking
from livemig.timers.book3s import Book3S
from livemig.timers.decrementer import DecrementerModel
from livemig.timers.timebase import Timebase

MODEL = DecrementerModel(16, False, False, 0)


def cpu(kind: type[Cpu] = Cpu, masking: Masking | None = None, drift_free: bool = False) -> Cpu:
    """Boots at tick 10 and then interrupts every 100 + 3 ticks; the handler writes 3 ticks in, ends after 8."""
    made = kind(0, Book3S(MODEL), Timebase(0, 0, 1_000_000_000), Periodic(100, drift_free, 3, 8, 10), masking)
    made.power_on(0)
    made.boot()
    return made


def interrupts(of: Cpu) -> list[tuple[int, int]]:
    """Tick, due tick."""
    return [(row[1], row[3]) for row in rows(of) if row[2] == "interrupt"]  # type: ignore[misc]


def test_what_falls_due_while_it_stands_is_delivered_at_the_end_of_it_and_late_by_that() -> None:
    """Due at 110; blocked from 105 to 140: delivered at 140, the handler writes at 143, so 243 is next."""
    it = cpu()
    it.run(105)
    it.block()
    it.run(140)
    assert interrupts(it) == []
    it.unblock()
    it.run(244)
    assert interrupts(it) == [(140, 110), (243, 243)]


def test_in_a_handler_the_rest_of_it_comes_later_but_its_timer_would_have_gone_on() -> None:
    """Delivered at 110; blocked from 112 to 150: the write due at 113 comes at 151, EE on at 156 instead of 118."""
    it = cpu()
    it.run(112)
    it.block()
    it.run(150)
    it.unblock()
    assert (it.main.step_at, it.unmask_at) == (151, 156)
    it.run(252)
    assert interrupts(it) == [(110, 110), (251, 251)]


def test_masking_of_its_own_is_put_off_too_and_what_it_masked_before_it_stood_stays_masked() -> None:
    """EE off from 100 for 40: blocked from 105 to 125 it is off until 160, and the interrupt due at 110 waits."""
    it = cpu(masking=Masking(100, 40))
    it.run(105)
    it.block()
    it.run(125)
    it.unblock()
    it.run(161)
    assert interrupts(it) == [(160, 110)]
    assert [row[1:4] for row in rows(it) if row[2] == "interrupt_masked"] == [(110, "interrupt_masked", 110)]


def test_the_guest_reads_the_time_that_went_on() -> None:
    """Drift-free: what is late by 30 is made up for: 110 delivered at 140, written at 143: 110 + 100 is next."""
    it = cpu(drift_free=True)
    it.run(105)
    it.block()
    it.run(140)
    it.unblock()
    it.run(211)
    assert interrupts(it) == [(140, 110), (210, 210)]


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(0, 300)), max_size=6))
def test_a_train_and_single_steps_agree_about_a_cpu_that_stands_again_and_again(stops: list[tuple[int, int]]) -> None:
    fast, slow = cpu(), cpu(StepByStep)
    for it in (fast, slow):
        now = 0
        for runs, stands in stops:
            it.run(now := now + runs)
            it.block()
            it.run(now := now + stands)
            it.unblock()
        it.run(now + 500)
    assert rows(fast) == rows(slow)


@given(st.integers(1, 500))
def test_to_stand_for_no_time_changes_nothing(at: int) -> None:
    never, once = cpu(), cpu()
    never.run(1000)
    once.run(at)
    once.block()
    once.unblock()
    once.run(1000)
    assert [row[1:] for row in rows(once)] == [row[1:] for row in rows(never)]
