"""Interrupt trains do what the CPU does step by step, event by event."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from livemig.guests.darwin import Darwin
from livemig.guests.guest import Guest, TickGuest
from livemig.guests.linux import Linux
from livemig.guests.periodic import Periodic
from livemig.machine.cpu import Cpu
from livemig.machine.record import CAUSES, COALESCED, INTERRUPT, MASKED
from livemig.machine.slot import Masking
from livemig.timers.book3s import Book3S
from livemig.timers.decrementer import DecrementerModel
from livemig.timers.ticks import NEVER
from livemig.timers.timebase import Timebase


class Scripted(TickGuest):
    """Writes the values it is given, one after the other, then a large one; some are followed by a further step."""

    def __init__(
        self, values: list[tuple[int, int]], arm_ticks: int, handler_ticks: int, entry: tuple[int, int] | None
    ) -> None:
        super().__init__(arm_ticks, handler_ticks)
        self._values = list(values)
        self.entry = entry

    def step(self, tb: int, decr: int) -> tuple[int, int]:
        # what it reads matters too: a train must show it the same
        value, following = self._values.pop(0) if self._values else (10_000, NEVER)
        return (value + (tb ^ decr) % 3) % 2**16, following

    def save(self) -> dict[str, Any]:
        return {"left": len(self._values)}

    def load(self, state: dict[str, Any]) -> None:
        raise NotImplementedError


class StepByStep(Cpu):
    """A CPU that never takes the short way."""

    def _steady(self) -> bool:
        return False


def rows(cpu: Cpu) -> list[tuple[object, ...]]:
    """What the CPU did, as plain rows in order: (seq, tick, what, due or value …)."""
    record = cpu.record
    assert record is not None
    out: list[tuple[object, ...]] = [
        (seq, tick, "arm", value, due, CAUSES[cause]) for seq, tick, value, due, cause, _ in record.arms
    ]
    for event in (INTERRUPT, MASKED, COALESCED):
        out += [(seq, tick, event, due) for seq, tick, due, _ in record.raised[event]]
    lag = cpu.facility.lag(0)
    for train in record.trains:
        values = np.broadcast_to(train.values, train.delivered.shape).tolist()
        for i, (tick, value) in enumerate(zip(train.delivered.tolist(), values, strict=True)):
            seq = train.seq + train.rows * i
            out.append((seq, tick, INTERRUPT, tick))
            if train.early_write is not None:
                early, entered = tick + train.early_write[0], train.early_write[1]
                out.append((seq + 1, early, "arm", entered, early + entered + lag, "guest"))
            armed = tick + train.arm_ticks
            out.append((seq + train.rows - 1, armed, "arm", value, armed + value + lag, "guest"))
    return sorted(out)


MODELS = st.builds(
    DecrementerModel, st.just(16), st.booleans(), st.booleans(), st.sampled_from([0, 1])
)
VALUES = st.one_of(st.integers(0, 300), st.integers(0, 2**16 - 1), st.sampled_from([0, 1, 2, 2**15 - 1, 2**15]))
TIMES = st.tuples(st.integers(0, 20), st.integers(0, 40))
ENTRIES = st.one_of(st.none(), st.tuples(st.integers(0, 20), VALUES))
MASKINGS = st.one_of(st.just(Masking()), st.builds(Masking, st.integers(1, 500), st.integers(1, 200)))


@st.composite
def guests(draw: st.DrawFn) -> tuple[Guest, Guest]:
    """The same guest twice."""
    arm, handler = draw(TIMES)
    kind = draw(st.sampled_from(["scripted", "darwin", "periodic", "linux"]))
    if kind == "scripted":
        following = st.one_of(st.just(NEVER), st.just(NEVER), st.integers(0, 300))
        made = (draw(st.lists(st.tuples(VALUES, following), max_size=60)), arm, handler, draw(ENTRIES))
        return Scripted(*made), Scripted(*made)
    if kind == "linux":
        made = (draw(st.integers(0, 2**40)), draw(st.integers(1, 400)), draw(st.integers(0, 500)), 2**15 - 1)
        return Linux(*made, arm, handler, 3), Linux(*made, arm, handler, 3)
    if kind == "darwin":
        low = draw(st.integers(0, 60))
        made = (draw(st.integers(0, 2**40)), low, low + draw(st.integers(0, 200)), draw(st.booleans()), arm, handler, 5)
        return Darwin(*made), Darwin(*made)
    period = draw(st.integers(1, 300))
    drift_free = draw(st.booleans())
    return Periodic(period, drift_free, arm, handler, 3), Periodic(period, drift_free, arm, handler, 3)


@given(MODELS, guests(), MASKINGS, st.lists(st.integers(1, 5000), min_size=1, max_size=5))
def test_a_train_and_single_steps_leave_the_same_record_and_the_same_cpu(
    model: DecrementerModel, pair: tuple[Guest, Guest], masking: Masking, stretches: list[int]
) -> None:
    base = Timebase(0, 0, 10**6)
    short = Cpu(0, Book3S(model), base, pair[0], masking)
    long = StepByStep(0, Book3S(model), base, pair[1], masking)
    for cpu in (short, long):
        cpu.power_on(0)
        cpu.boot()
    until = 0
    for stretch in stretches:
        until += stretch
        for cpu in (short, long):
            cpu.run(until)
        assert short.time_state() == long.time_state()
        assert short.registers() == long.registers()
        assert (short.main.due, short.delivered) == (long.main.due, long.delivered)
    assert rows(short) == rows(long)


SPREAD = st.tuples(st.integers(0, 60), st.integers(0, 90))


@settings(max_examples=40)
@given(MODELS, SPREAD, st.booleans(), TIMES, st.integers(0, 2**40), st.lists(st.integers(1, 15_000), max_size=2))
def test_draws_that_are_taken_at_a_stroke_are_those_taken_one_by_one(
    model: DecrementerModel, spread: tuple[int, int], skewed: bool, times: tuple[int, int], seed: int, more: list[int]
) -> None:
    low, width = spread
    made = (seed, low, low + width, skewed, *times, 5)
    short = Cpu(0, Book3S(model), Timebase(0, 0, 10**6), Darwin(*made))
    long = StepByStep(0, Book3S(model), Timebase(0, 0, 10**6), Darwin(*made))
    until = 0
    for cpu in (short, long):
        cpu.power_on(0)
        cpu.boot()
    for stretch in (12_000, *more):
        until += stretch
        for cpu in (short, long):
            cpu.run(until)
        assert short.registers() == long.registers()
        assert short.time_state() == long.time_state()
    assert rows(short) == rows(long)


def test_a_long_train_of_draws_is_one_piece() -> None:
    """12,000 ticks of at most 130: more than 90 interrupts."""
    cpu = Cpu(0, Book3S(DecrementerModel(16)), Timebase(0, 0, 10**6), Darwin(7, 40, 130, False, 1, 5, 5))
    cpu.power_on(0)
    cpu.boot()
    cpu.run(12_000)
    assert cpu.record is not None
    assert max(len(train.delivered) for train in cpu.record.trains) > 90


@given(MODELS, guests(), st.lists(st.integers(1, 3000), min_size=1, max_size=8))
def test_where_the_barriers_fall_changes_nothing(
    model: DecrementerModel, pair: tuple[Guest, Guest], stretches: list[int]
) -> None:
    base = Timebase(0, 0, 10**6)
    often, once = Cpu(0, Book3S(model), base, pair[0]), Cpu(0, Book3S(model), base, pair[1])
    for cpu in (often, once):
        cpu.power_on(0)
        cpu.boot()
    until = 0
    for stretch in stretches:
        until += stretch
        often.run(until)
    once.run(until)
    assert rows(often) == rows(once)
    assert often.registers() == once.registers()


def test_a_train_is_taken_again_after_an_interrupt_that_was_late() -> None:
    cpu = Cpu(0, Book3S(), Timebase(0, 0, 10**6), Periodic(100, True, 1, 5, 0), Masking(500_000, 250))
    cpu.power_on(0)
    cpu.boot()
    cpu.mask_at = NEVER
    cpu.unmask_at = 250  # masked from the start, as after a restore in the middle of a handler
    cpu.run(100_000)
    assert cpu.record is not None
    single = len(cpu.record.raised[INTERRUPT])
    assert single < 5
    assert sum(len(train.delivered) for train in cpu.record.trains) == cpu.delivered - single > 990


def test_a_train_is_taken_where_one_is_to_be_had() -> None:
    cpu = Cpu(0, Book3S(), Timebase(0, 0, 10**6), Periodic(100, True, 1, 5, 0))
    cpu.power_on(0)
    cpu.boot()
    cpu.run(100_000)
    assert cpu.record is not None
    assert sum(len(train.delivered) for train in cpu.record.trains) > 990
    assert cpu.delivered == 999  # at 100, 200 … 99,900
