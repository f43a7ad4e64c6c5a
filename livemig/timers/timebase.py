"""The timebase, as a snapshot tuple.

"Basically to represent the guest TB we want a tuple of a snapshot TB value with the qemu clock time at which that
snapshot was taken" (D. Gibson, the thread, #5). Unlike a raw host offset the tuple can travel: only its clock time
has to be expressed on the other host's clock, and that is integer nanoseconds, so nothing is rounded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from livemig.timers.ticks import MASK64, ns_to_ticks, ticks_to_ns


@dataclass(frozen=True, slots=True)
class Timebase:
    """A 64-bit counter that read ``value`` at ``clock_ns`` of the virtual clock and ticks at ``hz``.

    ``ticks`` counts from ``clock_ns``, whatever the guest writes into TB: decrementers count on it, as QEMU's
    ``decr_next`` does, so that writing TB moves no decrementer.
    """

    value: int
    clock_ns: int
    hz: int

    def ticks(self, clock_ns: int) -> int:
        """Ticks complete at ``clock_ns`` since the snapshot; negative before it."""
        return ns_to_ticks(self.hz, clock_ns - self.clock_ns)

    def read(self, clock_ns: int) -> int:
        """TB at ``clock_ns`` (0 … 2^64-1), as ``mftb`` gives it."""
        return self.value + self.ticks(clock_ns) & MASK64

    def written(self, clock_ns: int, value: int) -> Timebase:
        """After ``mttb`` of ``value`` at ``clock_ns``: the phase of the ticks stays as it is."""
        return replace(self, value=self.value + value - self.read(clock_ns) & MASK64)

    def instant(self, ticks: int) -> int:
        """The first nanosecond of the virtual clock at which ``ticks(…)`` gives ``ticks``."""
        return self.clock_ns + ticks_to_ns(self.hz, ticks)

    def advanced(self, ns: int) -> Timebase:
        """As if ``ns`` more nanoseconds had passed: exact, no tick is rounded away."""
        return replace(self, clock_ns=self.clock_ns - ns)
