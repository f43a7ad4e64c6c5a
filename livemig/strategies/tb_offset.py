"""``tb-offset``: DECR is saved relative to the timebase."""

from __future__ import annotations

from typing import ClassVar

from livemig.machine.time_state import HostView, TimeState
from livemig.strategies.strategy import (
    INTERRUPT_FIELDS,
    PER_CPU_TB,
    TIMEBASE_FIELDS,
    Fields,
    Saved,
    Strategy,
    restore_advanced,
    save_interrupts,
    save_timebase,
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
    fields: ClassVar[Fields] = {**TIMEBASE_FIELDS, "decr_tb": PER_CPU_TB, **INTERRUPT_FIELDS}

    def save(self, time: TimeState, host: HostView) -> Saved:
        zero_at = [time.timebase.value + state.decrementer.expiry & MASK64 for state in time.decrementers]
        return {**save_timebase(time, host), "decr_tb": zero_at, **save_interrupts(time)}

    def restore(self, fresh: TimeState, saved: Saved, host: HostView) -> TimeState:
        zero_at = saved["decr_tb"]
        return restore_advanced(
            fresh, saved, host, lambda cpu, timebase: sign_extend(zero_at[cpu] - timebase.value, 64)
        )
