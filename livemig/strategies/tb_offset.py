"""``tb-offset``: every timer is saved relative to the timebase."""

from __future__ import annotations

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
        zero_at = [time.timebase.value + state.count.expiry & MASK64 for state in time.timers]
        return {**save_timebase(time, host), "zero_tb": zero_at, **save_interrupts(time)}

    def restore(self, fresh: TimeState, saved: Saved, host: HostView) -> TimeState:
        timebase = saved_timebase(saved, fresh.timebase.hz).advanced(self.advance_ns(saved, host))
        zero_at = saved["zero_tb"]
        return restored(
            fresh, saved, (timebase,) * len(fresh.cpus), lambda i, tb: sign_extend(zero_at[i] - tb.value, 64)
        )

    def advance_ns(self, saved: Saved, host: HostView) -> int:
        """By how much TB goes on."""
        return gap_ns(saved, host)
