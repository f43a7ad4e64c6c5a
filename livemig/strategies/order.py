"""``cpu-before-machine``, ``deadline-before-clock``, ``per-cpu-timebase``: right values, restored in the wrong order
or at the wrong times."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final

from livemig.machine.time_state import HostView, TimeState
from livemig.strategies.strategy import PER_CPU_TB, Fields, Saved, gap_ns
from livemig.strategies.tb_offset import TbOffset
from livemig.timers.ticks import sign_extend
from livemig.timers.timebase import Timebase

SAVE_NS: Final = 5_000
"""What it costs to save a CPU, where the scenario's steps take no time: the next one is saved so much later."""
LOAD_NS: Final = 25_000
"""The same for loading."""


class _TimersFirst(TbOffset):
    """DECR is set by the TB that is there; TB is set after it, which moves no decrementer."""

    def expiry(self, fresh: TimeState, saved: Saved, timer: int, timebase: Timebase) -> int:
        bits = fresh.facility.timers[timer % fresh.per_cpu].bits
        left = sign_extend(saved["zero_tb"][timer] - self.tb_found(fresh, saved), bits)
        return timebase.ticks(saved["clock_ns"]) + left

    @abstractmethod
    def tb_found(self, fresh: TimeState, saved: Saved) -> int:
        """What TB reads before it is restored."""


class CpuBeforeMachine(_TimersFirst):
    """The CPUs' sections come before the machine's, so that DECR is set against a TB that has not been restored: the
    bare ticks of the virtual clock, which came first.

    Source: "otherwise we'll be trying to restore it before the timebase is restored" (D. Gibson, the thread, #1);
    QEMU's pseries stream has ``spapr``, which holds TB, next to last. Predicted, for a blackout of N ticks and a TB
    that the guest set W ahead of the clock: TB right, DECR N + W too large.
    """

    name = "cpu-before-machine"

    def tb_found(self, fresh: TimeState, saved: Saved) -> int:
        return fresh.timebase.read(saved["clock_ns"])


class DeadlineBeforeClock(_TimersFirst):
    """The deadline is armed before the clock is restored that it is a point on.

    Source: Firecracker #4099 and #4666, the TSC deadline before the TSC. Predicted, for a TB of G at the stop and of
    F on the destination before the load, and a blackout of N ticks: TB right, DECR N + G - F too large, a guest's
    whole life where the destination has just started.
    """

    name = "deadline-before-clock"

    def tb_found(self, fresh: TimeState, saved: Saved) -> int:
        return fresh.tb()


class PerCpuTimebase(TbOffset):
    """TB is saved and restored CPU by CPU, each at its own time.

    Source: "the timebase is generally synchronized between cpus in the machine, and migrating it at the individual
    cpu could break that" (D. Gibson, the thread, #1). Predicted, where saving a CPU costs 5 us and loading one 25 us:
    CPU i is i·20 us behind CPU 0, TB and DECR together. Where the scenario's steps take time, s and l, it is
    (i + 1)·(l - s) behind the world.
    """

    name = "per-cpu-timebase"
    fields: ClassVar[Fields] = {**TbOffset.fields, "cpu_tb": PER_CPU_TB}

    def save(self, time: TimeState, host: HostView) -> Saved:
        each = enumerate(time.timebases)
        cpu_tb = [tb.read(time.clock_ns + time.lag_ns(i, i * SAVE_NS)) for i, tb in each]
        return {**super().save(time, host), "cpu_tb": cpu_tb}

    def timebases(self, fresh: TimeState, saved: Saved, host: HostView) -> Sequence[Timebase]:
        clock_ns, gap, hz = saved["clock_ns"], gap_ns(saved, host), fresh.timebase.hz
        each = enumerate(saved["cpu_tb"])
        return [Timebase(tb, clock_ns, hz).advanced(gap - fresh.lag_ns(i, i * LOAD_NS)) for i, tb in each]
