"""What the model foresees for a capture, from what its source's log shows of the stop.

Where the log shows the stop only to within some ticks, so far goes the prediction: the model is asked at both ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from livemig.events.qemu.window import OPEN, Window, near
from livemig.launch.capture import Capture, CpuSeen
from livemig.launch.prediction import AtStop, CpuAtStop, CpuRestored, restored
from livemig.launch.qemu_versions import Crossing, crossing
from livemig.machine.machine import MachineSpec
from livemig.machine.ram import PAGE
from livemig.timers.book3s import Book3S
from livemig.timers.ticks import MASK64, ns_to_ticks, sign_extend, ticks_to_ns

_BITS = 32

Part = Literal["low", "middle", "high"]
"""Of a window."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Every CPU after the restore, if the virtual clock stood at the earliest it may have (``low``), at the latest
    (``high``), and between. ``clock``: it, in the destination's ticks; open if the log does not show it."""

    rules: Crossing
    clock: Window
    low: tuple[CpuRestored, ...]
    middle: tuple[CpuRestored, ...]
    high: tuple[CpuRestored, ...]
    unknown: frozenset[int]
    """CPUs whose DECR at the stop the log does not show at all, and that hang on it."""

    def tb(self, cpu: int) -> Window | None:
        return Window(self.low[cpu].tb, self.high[cpu].tb) if self.clock.known else None

    def decr(self, cpu: int) -> Window | None:
        """As it reads once restored; None if that hangs on a clock that is not known."""
        if cpu in self.unknown or (not self.clock.known and self.low[cpu].decr != self.high[cpu].decr):
            return None
        return _between(self.low[cpu].decr, self.high[cpu].decr)

    def found(self, cpu: int) -> Window | None:
        """DECR before anything was loaded."""
        return _between(self.low[cpu].found, self.high[cpu].found) if self.clock.known else None

    def end(self, cpu: int) -> Window:
        """The tick at which DECR reads 0, modulo its width."""
        if cpu in self.unknown or not self.clock.known:
            return OPEN
        low = self.clock.low + self.low[cpu].decr
        high = near(self.clock.high + self.high[cpu].decr, _BITS, low)
        return Window(min(low, high), max(low, high))

    def certain(self, cpu: int) -> bool:
        """Both ends agree on whether an interrupt is pending, and whether one comes at all."""
        one, other = self.low[cpu], self.high[cpu]
        same = one.pending == other.pending and (one.due_in is None) == (other.due_in is None)
        return same and cpu not in self.unknown and (self.clock.known or one == other)


def _between(one: int, other: int) -> Window:
    """DECR comes down as the clock goes on; it may wrap in between."""
    other = near(other, _BITS, one)
    return Window(min(one, other), max(one, other))


def foresee(capture: Capture) -> Foreseen:
    """By the emulator's machines and the strategies that the versions of QEMU follow."""
    rules = crossing(*capture.versions)
    hz, there = capture.hz
    clock = capture.clock
    early, late = (clock.low, clock.high) if clock.known else (0, 1 << 31)
    first_ns, last_ns = ticks_to_ns(hz, early), ticks_to_ns(hz, late + 1) - 1
    source, destination = (
        MachineSpec(capture.machine, len(capture.cpus), PAGE, each, Book3S(capture.model(side)))
        for side, each in enumerate(capture.hz)
    )

    def at(clock_ns: int, part: Part) -> tuple[CpuRestored, ...]:
        cpus = tuple(_stopped(cpu, ns_to_ticks(hz, clock_ns), part, rules.sends_decr) for cpu in capture.cpus)
        return restored(AtStop(clock_ns, cpus), source, destination, rules.rules)

    # The later the clock stood, the less was in DECR.
    low, middle, high = at(first_ns, "high"), at(ticks_to_ns(hz, (early + late) // 2), "middle"), at(last_ns, "low")
    span = Window(ns_to_ticks(there, first_ns), ns_to_ticks(there, last_ns))
    sent = rules.sends_decr and rules.rules.decr != "none"
    seen = [cpu.decr is not None or cpu.expected.known for cpu in capture.cpus]
    unknown = frozenset(index for index, known in enumerate(seen) if sent and not known)
    return Foreseen(rules, span if clock.known else OPEN, low, middle, high, unknown)


def _stopped(cpu: CpuSeen, tick: int, part: Part, sends_decr: bool) -> CpuAtStop:
    decr = cpu.decr
    if decr is None:
        expected = cpu.expected
        decr = sign_extend(getattr(expected, part), _BITS)
    pending = bool(cpu.pending)
    armed = decr >= 0 and not pending and not cpu.taken
    return CpuAtStop(tick + (cpu.counting.offset or 0) & MASK64, decr if sends_decr else 0, pending, armed)
