"""``decr-only``, ``line-not-recomputed``: part of the timers' state is in no section."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from livemig.machine.time_state import HostView, TimeState
from livemig.strategies.strategy import (
    PER_CPU,
    PER_CPU_TB,
    PER_TIMER,
    PER_TIMER_TB,
    TIMEBASE_FIELDS,
    Fields,
    Saved,
    save_interrupts,
    save_timebase,
)
from livemig.strategies.tb_offset import TbOffset, save_zero_tb


class DecrOnly(TbOffset):
    """Of each CPU the decrementer crosses, and no other timer: those are as the destination's start left them.

    Source: QEMU, where HDECR, FIT and watchdog are in no vmstate; the registers that tell what a watchdog does next
    are. Predicted: DECR as ``tb-offset``; HDECR reads -TB - 1, and a watchdog is dead until it is programmed again.
    """

    name = "decr-only"
    fields: ClassVar[Fields] = {
        **TIMEBASE_FIELDS, "zero_tb": PER_CPU_TB, "armed": PER_CPU, "pending": PER_CPU, "line": PER_CPU,
    }  # fmt: skip

    def save(self, time: TimeState, host: HostView) -> Saved:
        every = {**save_zero_tb(time), **save_interrupts(time)}
        return {**save_timebase(time, host), **{name: each[:: time.per_cpu] for name, each in every.items()}}

    def restore(self, fresh: TimeState, saved: Saved, host: HostView) -> TimeState:
        sent = {name: saved[name] for name, number in self.fields.items() if number in (PER_CPU, PER_CPU_TB)}
        repeated = {name: [value for value in each for _ in range(fresh.per_cpu)] for name, each in sent.items()}
        time = super().restore(fresh, {**saved, **repeated}, host)
        timers = list(time.timers)
        for i, own in enumerate(fresh.timers):
            if i % fresh.per_cpu:
                cpu = fresh.cpu_of(i)
                timers[i] = own.shifted(time.ticks(cpu) - fresh.timebases[cpu].ticks(time.clock_ns))
        return replace(time, timers=tuple(timers))


class LineNotRecomputed(TbOffset):
    """Every timer crosses, but not whether its interrupt is up, and nothing works that out from the timers.

    Source: QEMU's BookE, where the decrementer's line is TSR[DIS] & TCR[DIE], and both registers cross, but the line
    is worked out at their next write only. Predicted: as ``tb-offset``, but what was raised and not taken at the
    stop does not come.
    """

    name = "line-not-recomputed"
    fields: ClassVar[Fields] = {**TIMEBASE_FIELDS, "zero_tb": PER_TIMER_TB, "armed": PER_TIMER}

    def save(self, time: TimeState, host: HostView) -> Saved:
        return {name: value for name, value in super().save(time, host).items() if name in self.fields}
