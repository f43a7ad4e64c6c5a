"""``snapshot-tuple``: TB as (TB, clock time) and its frequency."""

from __future__ import annotations

from typing import ClassVar

from livemig.machine.time_state import HostView, TimeState
from livemig.strategies.strategy import INT, Fields, Saved, saved_timebase
from livemig.strategies.tb_offset import TbOffset
from livemig.timers.timebase import Timebase


class SnapshotTuple(TbOffset):
    """TB is sent as what it read at a time of day, and its frequency; on any other host it is what it would read by
    now, and counts on at that host's frequency. DECR keeps to TB.

    Source: "basically to represent the guest TB we want a tuple of a snapshot TB value with the qemu clock time at
    which that snapshot was taken. Based on that, plus the tb frequency we can calculate a future TB value - and it's a
    migratable quantity" (D. Gibson, the thread, #5). Predicted, for a skew of s: TB and DECR are s·hz_source off; from
    there TB drifts by (hz_destination - hz_source) / hz_source.
    """

    name = "snapshot-tuple"
    fields: ClassVar[Fields] = {**TbOffset.fields, "hz": INT}
    any_frequency = True

    def save(self, time: TimeState, host: HostView) -> Saved:
        return {**super().save(time, host), "hz": time.timebase.hz}

    def timebase(self, fresh: TimeState, saved: Saved, host: HostView) -> Timebase:
        there = saved_timebase(saved, saved["hz"]).advanced(self.advance_ns(saved, host))
        clock_ns, hz = saved["clock_ns"], fresh.timebase.hz
        return there if hz == there.hz else Timebase(there.read(clock_ns), clock_ns, hz)
