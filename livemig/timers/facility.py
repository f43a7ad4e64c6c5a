"""The timers of one CPU taken together (Power ISA, "Timer Facilities"): what a guest can read and write, what falls
due, and which interrupt lines go up and down.

One class a family of CPUs: ``book3s`` (decrementer, hypervisor decrementer), ``ppc40x`` (PIT, FIT, watchdog),
``booke`` (decrementer with auto-reload, FIT, watchdog). A facility is a pure description; its state is
:class:`Timers`, and every act gives a :class:`Change`. Time is the tick of the CPU's timebase; ``tb`` is what TB reads
at that tick, which only fixed intervals and watchdogs look at.

Whatever a timer is, to migration it is a count: the tick at which it falls due, and whether it runs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

from livemig.timers.decrementer import Decrementer, Line
from livemig.timers.ticks import NEVER


class Timer(NamedTuple):
    """What a timer is called and how its interrupt behaves.

    Attributes:
        name: in logs and snapshots. vector: of its interrupt. bits: width of what a guest reads of it.
        level: the line stays up after delivery, until its cause is gone; else it falls with the delivery.
        ee: MSR[EE] masks it; if not, only the handler of another such interrupt does (HDECR, critical interrupts).
    """

    name: str
    vector: int
    bits: int = 32
    level: bool = False
    ee: bool = True


class Timers(NamedTuple):
    """The state: a count for each of the facility's timers, and its other registers, both in its order."""

    counts: tuple[Decrementer, ...]
    spr: tuple[int, ...] = ()


class Effect(NamedTuple):
    """What an act does to a timer.

    Attributes:
        timer: its index. line: of its interrupt. due: with RAISE, the tick at which it fell due.
        wrote: it counts anew, from this value; None if it does not. reloaded: by itself, not by the guest. With RAISE
            this is an arm that was due at once, at ``due``; else it is due when the new state promises.
    """

    timer: int
    line: Line = Line.KEEP
    due: int = 0
    wrote: int | None = None
    reloaded: bool = False


class Change(NamedTuple):
    """A new state and how it came about; ``reset``: the machine is to be reset (``core``, ``chip``, ``system``)."""

    state: Timers
    effects: tuple[Effect, ...] = ()
    reset: str | None = None


class TimerFacility(ABC):
    """One family's timers. The first one is the CPU's main timer, the decrementer or the PIT."""

    @property
    def registers(self) -> tuple[str, ...]:
        """Those of :attr:`Timers.spr`. They cross as registers do, whatever becomes of the counts."""
        return ()

    @property
    @abstractmethod
    def timers(self) -> tuple[Timer, ...]:
        """What there is."""

    @property
    def priority(self) -> tuple[int, ...]:
        """Indices of the timers; of several that are raised the first is delivered."""
        return tuple(range(len(self.timers)))

    @abstractmethod
    def at_reset(self, tick: int = 0, tb: int = 0) -> Timers:
        """At power-on. Start-up decrementers are points on the virtual clock, which is 0 at tick 0, whatever ``tick``
        is now; intervals begin at ``tick``."""

    def reset(self, state: Timers, kind: str, tick: int, tb: int) -> Timers:
        """After a reset of the running machine, of ``kind``: as at power-on, unless the family keeps something. TB
        counts on over it."""
        return self.at_reset(tick, tb)

    def resumed(self, state: Timers, tick: int, tb: int) -> Change:
        """Guest time begins, or goes on after a stop."""
        return Change(state)

    def timebase_written(self, state: Timers, tick: int, tb: int) -> Change:
        """``tb`` was written into TB at ``tick``. No count depends on it, but fixed intervals wait for its bits."""
        return Change(state)

    def raised_at_reset(self) -> tuple[int, ...]:
        """Timers whose interrupt is up after either."""
        return ()

    def lag(self, timer: int) -> int:
        """Ticks after it reads 0 at which it falls due."""
        return 0

    def due(self, timer: int, count: Decrementer) -> int:
        """The tick at which ``count`` falls due; NEVER if it does not run."""
        return count.expiry + self.lag(timer) if count.armed else NEVER

    def promised(self, state: Timers, timer: int) -> int:
        """The tick at which its interrupt is raised if nothing is written until then; NEVER if it is not. A count may
        fall due without one: its interrupt is not enabled, or it is the watchdog's first stage."""
        return self.due(timer, state.counts[timer])

    @abstractmethod
    def reading(self, timer: int, count: Decrementer, tick: int) -> int:
        """What the guest reads of it, signed."""

    def read(self, state: Timers, register: str, tick: int, tb: int) -> int:
        """``mfspr``: by the name of a timer or of one of :attr:`registers`."""
        if register in self.registers:
            return state.spr[self.registers.index(register)]
        timer = self.named(register)
        return self.reading(timer, state.counts[timer], tick)

    @abstractmethod
    def write(self, state: Timers, register: str, value: int, tick: int, tb: int) -> Change:
        """``mtspr``: by the name of a timer or of one of :attr:`registers`."""

    @abstractmethod
    def expire(self, state: Timers, timer: int, tick: int, tb: int) -> Change:
        """``due`` of a timer has come; ``tick`` is not before it."""

    @property
    def resets(self) -> bool:
        """Whether one of its timers can reset the machine at all."""
        return False

    def earliest_reset(self, state: Timers) -> int:
        """No reset comes before this tick, whatever the guest does not do; NEVER if none can. It is told again at each
        time-out, and after a write that :meth:`may_arm_watchdog`."""
        return NEVER

    def may_arm_watchdog(self, state: Timers) -> bool:
        """Whether a write of the guest may start a watchdog that resets, or reset at once."""
        return False

    @abstractmethod
    def as_fields(self) -> Mapping[str, int | str | bool]:
        """For the wire and the manifest: what both sides must agree on."""

    @property
    def main(self) -> Timer:
        """The first."""
        return self.timers[0]

    def named(self, name: str) -> int:
        """The index of a timer; ValueError if there is none of that name."""
        return [timer.name for timer in self.timers].index(name)
