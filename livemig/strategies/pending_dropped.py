"""``pending-dropped``: an interrupt that is raised but masked at the stop is not sent."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from livemig.machine.cpu import TimerState
from livemig.machine.time_state import HostView, TimeState
from livemig.strategies.absolute import AbsoluteFrozenTb
from livemig.strategies.strategy import PER_TIMER, TIMEBASE_FIELDS, Fields, Saved, save_remaining, save_timebase
from livemig.timers.decrementer import Line
from livemig.timers.facility import Timers


class PendingDropped(AbsoluteFrozenTb):
    """DECR is written by the load as a guest would write it, over what the destination's own start left in it; what
    was pending is not sent.

    Source: QEMU since 8.2, ``cpu_post_load`` with ``pending_interrupts`` in no vmstate. A negative DECR raises on a
    level CPU. On an edge CPU it raises only where it overwrites one that is not negative; else it counts down
    unsigned, and is 2^bits ticks away. Predicted, for a DECR of r < 0 over a negative one: the interrupt comes
    2^32 - |r| ticks after the resume (QEMU 10.0.2's mac99 waits 171.8 s); else as ``absolute-frozen-tb``.
    """

    name = "pending-dropped"
    fields: ClassVar[Fields] = {**TIMEBASE_FIELDS, "remaining": PER_TIMER, "armed": PER_TIMER}

    def save(self, time: TimeState, host: HostView) -> Saved:
        armed = [int(state.count.armed) for state in time.timers]
        return {**save_timebase(time, host), **save_remaining(time), "armed": armed}

    def restore(self, fresh: TimeState, saved: Saved, host: HostView) -> TimeState:
        time = super().restore(fresh, saved, host)
        timers = list(time.timers)
        for cpu in time.cpus:
            main = cpu * time.per_cpu
            timers[main] = _stored(fresh, time, cpu, saved["remaining"][main])
        return replace(time, timers=tuple(timers))


def _stored(fresh: TimeState, time: TimeState, cpu: int, value: int) -> TimerState:
    """The main timer of ``cpu`` after a write of ``value`` over ``fresh``'s, as it stands on ``time``'s timebase."""
    facility, timebase = fresh.facility, fresh.timebases[cpu]
    tick, tb = timebase.ticks(time.clock_ns), timebase.read(time.clock_ns)
    was = fresh.of_cpu(cpu)
    state = Timers(tuple(timer.count for timer in was), facility.at_reset().spr)
    change = facility.write(state, facility.main.name, value, tick, tb)
    pending, line = was[0].pending, was[0].line
    for effect in change.effects:
        if effect.timer == 0 and effect.line is not Line.KEEP:
            pending = effect.due if effect.line is Line.RAISE else None
            line = pending if facility.main.level else None
    return TimerState(change.state.counts[0], pending, line).shifted(time.ticks(cpu) - tick)
