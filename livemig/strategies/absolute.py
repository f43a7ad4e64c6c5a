"""``absolute`` and ``absolute-frozen-tb``: every timer goes on from the value it had."""

from __future__ import annotations

from typing import ClassVar

from livemig.machine.time_state import HostView, TimeState
from livemig.strategies.strategy import (
    INTERRUPT_FIELDS,
    PER_TIMER,
    TIMEBASE_FIELDS,
    Fields,
    Saved,
    Strategy,
    gap_ns,
    restored,
    save_interrupts,
    save_remaining,
    save_timebase,
    saved_timebase,
)


class Absolute(Strategy):
    """TB is advanced by the blackout, but DECR is set to exactly the value that was saved.

    Source: the thread's patch; "this is subtly incorrect … DECR is frozen for the migration downtime" (#1).
    Predicted, for a blackout of N ticks: TB right, DECR N too large, every interrupt that was armed N ticks late. Where
    the steps take time, N is from the read of a CPU's DECR to its load.
    """

    name = "absolute"
    fields: ClassVar[Fields] = {**TIMEBASE_FIELDS, "remaining": PER_TIMER, **INTERRUPT_FIELDS}

    def save(self, time: TimeState, host: HostView) -> Saved:
        return {**save_timebase(time, host), **save_remaining(time), **save_interrupts(time)}

    def restore(self, fresh: TimeState, saved: Saved, host: HostView) -> TimeState:
        timebase = saved_timebase(saved, fresh.timebase.hz).advanced(self.advance_ns(saved, host))
        clock_ns = saved["clock_ns"]
        loaded = [timebase.ticks(clock_ns + fresh.lag_ns(cpu)) for cpu in fresh.cpus]
        timebases = (timebase,) * len(fresh.cpus)
        return restored(fresh, saved, timebases, lambda i, _: loaded[fresh.cpu_of(i)] + saved["remaining"][i])

    def advance_ns(self, saved: Saved, host: HostView) -> int:
        """By how much TB goes on."""
        return gap_ns(saved, host)


class AbsoluteFrozenTb(Absolute):
    """The virtual clock stands still over the blackout, and TB and DECR with it: both go on from what was saved.

    Source: QEMU's TCG since 8.2 ("it should be correct because in case of TCG I think timebase is stopped too",
    L. Vivier, the thread, #3; commit 578912ad7312). Predicted, for a blackout of N ticks: nothing is lost or late in
    guest time, but TB is N behind the world, and stays so. Under the policy ``advance`` everything is N late.
    """

    name = "absolute-frozen-tb"
    counts_on = False

    def advance_ns(self, saved: Saved, host: HostView) -> int:
        return 0
