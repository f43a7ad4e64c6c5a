"""``tb-offset``: every timer is saved relative to the timebase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from livemig.machine.time_state import HostView, TimeState
from livemig.strategies.strategy import (
    INTERRUPT_FIELDS,
    PER_TIMER_TB,
    TIMEBASE_FIELDS,
    Fields,
    Saved,
    Strategy,
    gap_ns,
    restored,
    save_interrupts,
    save_timebase,
    saved_timebase,
)
from livemig.timers.ticks import MASK64, sign_extend
from livemig.timers.timebase import Timebase


class TbOffset(Strategy):
    """DECR is saved as the TB at which it reads 0, and restored against the TB advanced by the blackout, the
    machine's timebase first.

    Source: "save the DECR as an offset from the timebase, and restore it relative to the (downtime adjusted)
    timebase on the destination" (D. Gibson, the thread, #1). Predicted, for a skew of s between the hosts' times of
    day: TB and DECR are s·hz off, together, and exact where the clocks agree; an interrupt that fell due in the
    blackout comes at the resume.
    """

    name = "tb-offset"
    fields: ClassVar[Fields] = {**TIMEBASE_FIELDS, "zero_tb": PER_TIMER_TB, **INTERRUPT_FIELDS}

    def save(self, time: TimeState, host: HostView) -> Saved:
        return {**save_timebase(time, host), **save_zero_tb(time), **save_interrupts(time)}

    def restore(self, fresh: TimeState, saved: Saved, host: HostView) -> TimeState:
        return restored(
            fresh, saved, self.timebases(fresh, saved, host), lambda i, tb: self.expiry(fresh, saved, i, tb)
        )

    def expiry(self, fresh: TimeState, saved: Saved, timer: int, timebase: Timebase) -> int:
        """The tick of ``timebase`` at which a timer reads 0."""
        return sign_extend(saved["zero_tb"][timer] - timebase.value, 64)

    def timebases(self, fresh: TimeState, saved: Saved, host: HostView) -> Sequence[Timebase]:
        """By CPU."""
        return (self.timebase(fresh, saved, host),) * len(fresh.cpus)

    def timebase(self, fresh: TimeState, saved: Saved, host: HostView) -> Timebase:
        """The machine's."""
        return saved_timebase(saved, fresh.timebase.hz).advanced(self.advance_ns(saved, host))

    def advance_ns(self, saved: Saved, host: HostView) -> int:
        """By how much TB goes on."""
        return gap_ns(saved, host)


def save_zero_tb(time: TimeState) -> Saved:
    """For every timer, what its CPU's TB reads when it reads 0."""
    each = enumerate(time.timers)
    return {"zero_tb": [time.timebases[time.cpu_of(i)].value + state.count.expiry & MASK64 for i, state in each]}
