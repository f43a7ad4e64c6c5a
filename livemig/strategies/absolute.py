"""``absolute``: DECR goes on from the value it had."""

from __future__ import annotations

from typing import ClassVar

from livemig.machine.time_state import HostView, TimeState
from livemig.strategies.strategy import (
    INTERRUPT_FIELDS,
    PER_CPU,
    TIMEBASE_FIELDS,
    Fields,
    Saved,
    Strategy,
    restore_advanced,
    save_interrupts,
    save_timebase,
)


class Absolute(Strategy):
    """TB is advanced by the blackout, but DECR is set to exactly the value that was saved.

    Source: the thread's patch; "this is subtly incorrect … DECR is frozen for the migration downtime" (#1).
    Predicted, for a blackout of N ticks: TB right, DECR N too large, every interrupt that was armed N ticks late.
    """

    name = "absolute"
    fields: ClassVar[Fields] = {**TIMEBASE_FIELDS, "decr": PER_CPU, **INTERRUPT_FIELDS}

    def save(self, time: TimeState, host: HostView) -> Saved:
        decr = [time.decr(i) for i in time.cpus]
        return {**save_timebase(time, host), "decr": decr, **save_interrupts(time)}

    def restore(self, fresh: TimeState, saved: Saved, host: HostView) -> TimeState:
        now, decr = saved["clock_ns"], saved["decr"]
        return restore_advanced(fresh, saved, host, lambda cpu, timebase: timebase.ticks(now) + decr[cpu])
