"""Strategies whose TB is QEMU's: the ticks of the migrated virtual clock, and an offset to them.

The virtual clock stands still over the blackout, and TB with it; DECR goes on from the value it had. They differ in
what becomes of the offset, which is what the guest's own writes to TB are kept in (QEMU ``tb_offset``).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from livemig.machine.time_state import HostView, TimeState
from livemig.strategies.strategy import (
    INT,
    INTERRUPT_FIELDS,
    PER_TIMER,
    TB,
    Fields,
    Saved,
    Strategy,
    restored,
    save_interrupts,
    save_remaining,
)
from livemig.timers.ticks import MASK64, ns_to_ticks
from livemig.timers.timebase import Timebase


class VirtualClock(Strategy):
    """TB is counted anew, from the virtual clock's 0, at the frequency of the machine it is restored on."""

    fields: ClassVar[Fields] = {"clock_ns": INT, "remaining": PER_TIMER, **INTERRUPT_FIELDS}
    any_frequency = True
    counts_on = False

    def save(self, time: TimeState, host: HostView) -> Saved:
        return {"clock_ns": time.clock_ns, **save_remaining(time), **save_interrupts(time)}

    def restore(self, fresh: TimeState, saved: Saved, host: HostView) -> TimeState:
        timebase = Timebase(self.offset(saved, host) & MASK64, 0, fresh.timebase.hz)
        now = timebase.ticks(saved["clock_ns"])
        return restored(fresh, saved, (timebase,) * len(fresh.cpus), lambda i, _: now + saved["remaining"][i])

    @abstractmethod
    def offset(self, saved: Saved, host: HostView) -> int:
        """What TB reads more than the ticks of the virtual clock, on the destination."""


def tb_offset(time: TimeState) -> int:
    """What TB reads more than the ticks of the virtual clock."""
    return time.tb() - ns_to_ticks(time.timebase.hz, time.clock_ns)


class TbWriteDropped(VirtualClock):
    """The offset is not sent: a TB that the guest wrote falls back to the bare clock.

    Source: QEMU's TCG, where nothing of ``ppc_tb_t`` is in any vmstate; the thread, #5 ("otherwise it should always
    be 0"). Predicted, for a TB set W ticks ahead of the clock: W ticks less than ``absolute-frozen-tb``.
    """

    name = "tb-write-dropped"

    def offset(self, saved: Saved, host: HostView) -> int:
        return 0


class FrequencyChange(VirtualClock):
    """The offset crosses, but on a machine of another frequency the same virtual clock is other ticks.

    Source: QEMU's mac99 runs at 100 MHz in 7.2 and at 25 MHz in 10.0: TB falls to a quarter. Predicted, for a
    virtual clock V: TB is V·(hz_destination - hz_source) off ``absolute-frozen-tb``, DECR keeps its value.
    """

    name = "frequency-change"
    fields: ClassVar[Fields] = {**VirtualClock.fields, "tb_offset": TB}

    def save(self, time: TimeState, host: HostView) -> Saved:
        return {**super().save(time, host), "tb_offset": tb_offset(time) & MASK64}

    def offset(self, saved: Saved, host: HostView) -> int:
        own: int = saved["tb_offset"]
        return own


class HostTicks(VirtualClock):
    """The host's cycle counter is taken for a timebase: TB is sent as an offset to the one host's counter, and
    restored against the other's.

    Source: QEMU ``timebase_save`` with ``cpu_get_host_ticks()``; "here on Intel the value returned is the TSC
    register which is completely unrelated to the timebase frequency. Hence the calculated values are nonsense and
    the guest inevitably ends up freezing" (M. Cave-Ayland, the thread, #5). Predicted, for counters that read H_s at
    the stop and H_d at the resume: TB is H_s - H_d off ``absolute-frozen-tb``; between hosts with the same counter of
    h ticks a second it falls back by h·blackout.
    """

    name = "host-ticks"
    fields: ClassVar[Fields] = {**VirtualClock.fields, "guest_timebase": TB}

    def save(self, time: TimeState, host: HostView) -> Saved:
        return {**super().save(time, host), "guest_timebase": tb_offset(time) + host.ticks & MASK64}

    def offset(self, saved: Saved, host: HostView) -> int:
        sent: int = saved["guest_timebase"]
        return sent - host.ticks
