"""``qemu-dead-clamp``, ``clamped``, ``negative-delta``: how much of the gap between two times of day is believed."""

from __future__ import annotations

from typing import Final

from livemig.machine.time_state import HostView
from livemig.strategies.strategy import Saved, gap_ns
from livemig.strategies.tb_offset import TbOffset
from livemig.timers.ticks import NS_PER_S

CLAMP_NS: Final = NS_PER_S


class QemuDeadClamp(TbOffset):
    """TB goes on by ``min(0, gap)``, where the gap is from 0 to a second: never.

    Source: QEMU's ``timebase_post_load`` until 42043e4f1241, which worked out the downtime, clamped it to a second,
    and added ``MIN(0, migration_duration_tb)``. Predicted, for a blackout of N ticks: TB is N behind and stays so,
    DECR with it, whatever the clocks say: as ``absolute-frozen-tb``.
    """

    name = "qemu-dead-clamp"

    def advance_ns(self, saved: Saved, host: HostView) -> int:
        return min(0, min(CLAMP_NS, gap_ns(saved, host)))


class Clamped(TbOffset):
    """TB and DECR go on by the gap, but by a second at most: what the dead clamp was meant to do.

    Predicted, for a blackout of D and a skew of s: exact up to D = 1 s; D - 1 s behind beyond it; never more than a
    second ahead, however wrong the clocks are, and never back.
    """

    name = "clamped"

    def advance_ns(self, saved: Saved, host: HostView) -> int:
        return min(CLAMP_NS, gap_ns(saved, host))


class NegativeDelta(TbOffset):
    """The gap between the two times of day is believed even where it is negative.

    Source: propolis #357, which met deltas down to -2 ms and clamps them to 0. Predicted, for a blackout of D and a
    skew s < -D: TB goes back by (-s - D)·hz; else as ``tb-offset``.
    """

    name = "negative-delta"

    def advance_ns(self, saved: Saved, host: HostView) -> int:
        then: int = saved["time_of_day_ns"]
        return host.time_of_day_ns - then
