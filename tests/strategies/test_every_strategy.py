"""Every strategy does to the tick what its rule says, on any machine: against the model in ``crossings``."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.guests.periodic import Periodic
from livemig.machine.cpu import Cpu, TimerState
from livemig.machine.time_state import Host, PeerClock, TimeState
from livemig.strategies.table import STRATEGIES
from livemig.timers.book3s import Book3S
from livemig.timers.decrementer import Decrementer, DecrementerModel, Reset
from livemig.timers.timebase import Timebase

from .crossings import OTHER_FREQUENCY, PREDICTIONS, Crossing, Predicted, S, Timer, crossings

EPOCH = 2 * 10**18


def facility(c: Crossing) -> Book3S:
    model = DecrementerModel(level=c.level, reset=Reset(c.reset))
    return Book3S(model, DecrementerModel(level=c.level, reset=Reset(c.reset)) if c.per_cpu == 2 else None)


def stopped(c: Crossing) -> TimeState:
    """The source at its stop."""
    timebase = Timebase(c.value, c.value_ns, c.hz)
    now = timebase.ticks(c.clock_ns)
    timers = []
    for timer in c.timers:
        up = now + timer.count if timer.pending else None
        timers.append(TimerState(Decrementer(now + timer.count, timer.runs), up, up if c.level else None))
    return TimeState(c.clock_ns, (timebase,) * c.cpus, tuple(timers), facility(c))


def started(c: Crossing) -> TimeState:
    """The destination before the load, its virtual clock at 0."""
    kind = facility(c)
    raised = kind.raised_at_reset()
    each = [
        TimerState(count, 0 if i in raised else None, 0 if i in raised and c.level else None)
        for i, count in enumerate(kind.at_reset().counts)
    ]
    return TimeState(0, (Timebase(0, 0, c.hz_there),) * c.cpus, tuple(each) * c.cpus, kind)


def simulated(name: str, c: Crossing) -> Predicted:
    strategy = STRATEGIES[name]
    here = Host(0, c.host_hz[0], c.host_ticks[0]).at(0)
    there = Host(c.skew_ns, c.host_hz[1], c.host_ticks[1]).at(c.blackout_ns)
    here, there = (replace(view, time_of_day_ns=view.time_of_day_ns + EPOCH) for view in (here, there))
    here = replace(here, peer=None if c.measured_ns is None else PeerClock(c.measured_ns, 1))
    before = stopped(c)
    saved = strategy.check(strategy.save(before, here), c.cpus, c.per_cpu)
    after = strategy.restore(started(c), saved, there)
    assert after.clock_ns == c.clock_ns
    due_in: list[int | None] = []
    for i, timer in enumerate(after.timers):
        due = after.facility.due(i % c.per_cpu, timer.count)
        due_in.append(max(0, due - after.ticks(after.cpu_of(i))) if timer.count.armed else None)
    return Predicted(
        tuple(after.tb(cpu) for cpu in after.cpus),
        tuple(after.reading(i) for i in range(len(after.timers))),
        tuple(due_in),
        tuple(timer.pending is not None for timer in after.timers),
    )


def test_every_strategy_has_a_prediction() -> None:
    assert set(PREDICTIONS) == set(STRATEGIES)
    assert {name for name, strategy in STRATEGIES.items() if strategy.any_frequency} == OTHER_FREQUENCY


@pytest.mark.parametrize("name", STRATEGIES)
@given(data=st.data())
def test_it_does_what_it_predicts(name: str, data: st.DataObject) -> None:
    c = data.draw(crossings(name in OTHER_FREQUENCY))
    assert simulated(name, c) == PREDICTIONS[name](c)


HOST = Host().at(0)


@pytest.mark.parametrize("level", [False, True], ids=["edge", "level"])
def test_none_past_2_to_the_32_ticks_fires_at_once_on_an_edge_cpu_and_never_on_a_level_one(level: bool) -> None:
    """QEMU 7.2: the start-up decrementer ran out at V = 258.7 s on g3beige; 300 s of guest time have passed."""
    c = Crossing(16_600_000, 0, 0, 300 * S, level, 1, (Timer(1000, True),), S, 0, (1, 1), (0, 0), 16_600_000)
    strategy = STRATEGIES["none"]
    after = strategy.restore(started(c), strategy.save(stopped(c), HOST), HOST)
    machine = Cpu(0, after.facility, after.timebase, Periodic(10**6, False, 0, 0, 0))
    now = after.ticks(0)
    machine.load_time(after.timebase, after.of_cpu(0), now)
    machine.unmask_at = now
    machine.run(now + 1)
    assert machine.delivered == (0 if level else 1)


def test_pending_dropped_on_the_mac_waits_171_8_seconds() -> None:
    """QEMU 10.0.2's mac99 (25 MHz): DECR at -25 and masked; 2^32 - 25 ticks to wait."""
    c = Crossing(
        25_000_000, 0, 0, 2 * S, False, 1, (Timer(-25, False, True),), S, 0, (1, 1), (0, 0), 25_000_000, "zero"
    )
    after = simulated("pending-dropped", c)
    assert (after.decr, after.due_in, after.pending) == ((-25,), (4_294_967_271,), (False,))
    assert round(4_294_967_271 / 25e6, 1) == 171.8


def test_frequency_change_quarters_the_timebase_of_a_mac() -> None:
    """mac99 is 100 MHz in QEMU 7.2 and 25 MHz in 10.0; 4 s of virtual time."""
    c = Crossing(100_000_000, 0, 0, 4 * S, False, 1, (Timer(7, True),), S, 0, (1, 1), (0, 0), 25_000_000)
    assert stopped(c).tb() == 400_000_000
    assert simulated("frequency-change", c).tb == (100_000_000,)


def test_host_ticks_on_one_x86_host_throws_tb_back_by_the_tsc_of_the_blackout() -> None:
    """2.5 GHz for 0.5 s: 1.25 G ticks, which a timebase of 16.6 MHz takes 75 s to count: below 0 after 4 s."""
    tsc = (2_500_000_000,) * 2
    c = Crossing(16_600_000, 0, 0, 4 * S, False, 1, (Timer(7, True),), S // 2, 0, tsc, (10**12,) * 2, 16_600_000)
    assert simulated("host-ticks", c).tb == ((66_400_000 - 1_250_000_000) % 2**64,)
