"""``round-down``, ``double-read``: right rules, a few ticks off in the arithmetic."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from livemig.machine.time_state import HostView, TimeState
from livemig.strategies.strategy import Saved
from livemig.strategies.tb_offset import TbOffset
from livemig.timers.ticks import MASK64, NS_PER_S, ns_to_ticks
from livemig.timers.timebase import Timebase

READ_NS: Final = 1_000
"""From one reading of the clock to the next, where the scenario's steps take no time."""


def through_ns(hz: int, ticks: int) -> int:
    """``ticks`` as nanoseconds and back, rounded down both times."""
    return ns_to_ticks(hz, ticks * NS_PER_S // hz)


class RoundDown(TbOffset):
    """TB and DECR are turned into nanoseconds as they are loaded, and back, rounded down both times.

    Source: QEMU up to 8.1, before 8e0a5ac878. Predicted: each loses a tick unless it is a whole number of ns, one in
    64 at 512 MHz, so that the interrupt comes two ticks before the TB that the guest asked for.
    """

    name = "round-down"

    def restore(self, fresh: TimeState, saved: Saved, host: HostView) -> TimeState:
        time = super().restore(fresh, saved, host)
        now, hz, tb = time.ticks(0), time.timebase.hz, time.tb()
        timebase = replace(time.timebase, value=time.timebase.value + through_ns(hz, tb) - tb & MASK64)
        counts = (state.count for state in time.timers)
        counts = (count._replace(expiry=now + through_ns(hz, count.expiry - now)) for count in counts)
        timers = [replace(state, count=count) for state, count in zip(time.timers, counts, strict=True)]
        return replace(time, timebases=(timebase,) * len(time.cpus), timers=tuple(timers))


class DoubleRead(TbOffset):
    """TB is loaded by one reading of the clock, DECR by another, a microsecond later.

    Source: QEMU before ea62f8a5 ("Read time only once to perform decrementer write"). Predicted: TB right, DECR a
    microsecond's ticks too small; where the scenario's steps take time, by those from TB's load to its CPU's.
    """

    name = "double-read"

    def expiry(self, fresh: TimeState, saved: Saved, timer: int, timebase: Timebase) -> int:
        clock_ns = saved["clock_ns"]
        read_ns = fresh.lag_ns(fresh.cpu_of(timer), READ_NS)
        later = timebase.ticks(clock_ns + read_ns) - timebase.ticks(clock_ns)
        return super().expiry(fresh, saved, timer, timebase) - later
