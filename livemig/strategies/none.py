"""``none``: nothing of the timers is sent."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from livemig.machine.time_state import HostView, TimeState
from livemig.strategies.strategy import INT, Fields, Saved, Strategy


class Nothing(Strategy):
    """Only the virtual clock is migrated, so the destination's own start-up decrementer, a point on that clock
    (0xffffffff at 0), reads -TB - 1 after the load.

    Source: QEMU up to 8.1; the thread, patch 4/4. Predicted, for a blackout of N ticks and TB at the stop: TB is N
    behind; no decrementer interrupt until TB passes 2^32 - 1 on an edge CPU, none at all on a level CPU, whose timer
    was never started.
    """

    name = "none"
    fields: ClassVar[Fields] = {"clock_ns": INT}
    any_frequency = True
    counts_on = False

    def save(self, time: TimeState, host: HostView) -> Saved:
        return {"clock_ns": time.clock_ns}

    def restore(self, fresh: TimeState, saved: Saved, host: HostView) -> TimeState:
        return replace(fresh, clock_ns=saved["clock_ns"])
