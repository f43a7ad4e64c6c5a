"""The time of a machine, as one value: what strategies save and restore, and what a host lets them see."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from livemig.machine.cpu import TimerState
from livemig.timers.facility import TimerFacility
from livemig.timers.ticks import MASK64, NS_PER_S
from livemig.timers.timebase import Timebase


@dataclass(frozen=True, slots=True)
class TimeState:
    """A stopped machine's time.

    Args:
        clock_ns: its virtual clock, which stands still. timebases: one for each CPU, all the same unless a strategy
            took them apart. timers: of every CPU in turn, in the order of ``facility``. lags_ns: how long after TB,
            whose instant this is, each CPU's timers are read or loaded while TB counts on; none, where it stands still
            or that takes no time.
    """

    clock_ns: int
    timebases: tuple[Timebase, ...]
    timers: tuple[TimerState, ...]
    facility: TimerFacility
    lags_ns: tuple[int, ...] = ()

    @property
    def timebase(self) -> Timebase:
        """CPU 0's, which is the machine's."""
        return self.timebases[0]

    @property
    def cpus(self) -> range:
        """The CPUs' numbers."""
        return range(len(self.timebases))

    @property
    def per_cpu(self) -> int:
        """Timers of one CPU."""
        return len(self.facility.timers)

    def cpu_of(self, timer: int) -> int:
        """Whose ``timers[timer]`` is."""
        return timer // self.per_cpu

    def of_cpu(self, cpu: int) -> tuple[TimerState, ...]:
        """The timers of one CPU."""
        return self.timers[cpu * self.per_cpu : (cpu + 1) * self.per_cpu]

    def tb(self, cpu: int = 0) -> int:
        """TB as ``cpu`` reads it."""
        return self.timebases[cpu].read(self.clock_ns)

    def ticks(self, cpu: int) -> int:
        """The tick, on its timebase, at which ``cpu`` stands."""
        return self.timebases[cpu].ticks(self.clock_ns)

    def lag_ns(self, cpu: int, own_ns: int = 0) -> int:
        """How long after TB the timers of ``cpu`` are read or loaded; ``own_ns``: where that takes no time."""
        return self.lags_ns[cpu] if self.lags_ns else own_ns

    def lag(self, cpu: int) -> int:
        """The same in ticks."""
        return self.timebases[cpu].ticks(self.clock_ns + self.lag_ns(cpu)) - self.ticks(cpu)

    def advanced(self, ns: int) -> TimeState:
        """As TB reads ``ns`` later, if it counts on meanwhile."""
        return replace(self, timebases=tuple(timebase.advanced(ns) for timebase in self.timebases))

    def reading(self, timer: int) -> int:
        """What the guest reads of ``timers[timer]``, signed."""
        cpu = self.cpu_of(timer)
        return self.facility.reading(timer % self.per_cpu, self.timers[timer].count, self.ticks(cpu))

    def decr(self, cpu: int) -> int:
        """The main timer (DECR, or the PIT) as ``cpu`` reads it, signed."""
        return self.reading(cpu * self.per_cpu)


@dataclass(frozen=True, slots=True)
class PeerClock:
    """By how much the other host's time of day is ahead of this one's, and by how much that may be wrong, in ns."""

    offset_ns: int
    bound_ns: int


@dataclass(frozen=True, slots=True)
class HostView:
    """All that the emulator's host tells about time at one instant.

    Args:
        time_of_day_ns: the host's wall clock. ticks: its cycle counter (``cpu_get_host_ticks``), of frequency
            ``tick_hz``: a TSC or any other, unrelated to the guest's timebase. peer: what is known of the other
            host's clock; None: nothing.
    """

    time_of_day_ns: int
    ticks: int
    tick_hz: int
    peer: PeerClock | None = None

    def as_fields(self) -> dict[str, Any]:
        """For the log."""
        fields = asdict(self)
        return fields if self.peer is not None else {name: fields[name] for name in fields if name != "peer"}


@dataclass(frozen=True, slots=True)
class Host:
    """A host's clocks, as lines over the run's clock.

    Args:
        skew_ns: its time of day minus the true one. tick_hz, tick_origin: cycle counter and its reading at t=0.
        clock_origin_ns: the emulator's virtual clock at t=0. step: when its time of day is set, and how far (ns).
        drift: from when it is wrong, and by how many millionths too fast.
    """

    skew_ns: int = 0
    tick_hz: int = NS_PER_S
    tick_origin: int = 0
    clock_origin_ns: int = 0
    step: tuple[int, int] = (0, 0)
    drift: tuple[int, int] = (0, 0)

    def at(self, t_ns: int) -> HostView:
        """What it shows at ``t_ns`` of the run."""
        ticks = self.tick_origin + t_ns * self.tick_hz // NS_PER_S & MASK64
        (step_ns, by_ns), (drift_ns, ppm) = self.step, self.drift
        wrong = self.skew_ns + (by_ns if t_ns >= step_ns else 0) + max(0, t_ns - drift_ns) * ppm // 1_000_000
        return HostView(t_ns + wrong, ticks, self.tick_hz)
