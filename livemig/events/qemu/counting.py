"""One CPU's virtual clock and DECR as its thread's lines show them, in windows of ticks.

QEMU's DECR counts on the virtual clock: the tick at which it reads 0, its *end*, stays where it is until the next
write (``decr_next`` in ``hw/ppc/ppc.c``). A read of DECR gives the end as far as the clock is known; the reads of TB
around it say how far that is. Where the clock is read once in a write, the old value and the new give the end anew,
exactly.
"""

from __future__ import annotations

from livemig.events.qemu.ticks import signed
from livemig.events.qemu.trace import DECR_LOAD, DECR_STORE, TB_LOAD, TB_STORE, Line
from livemig.events.qemu.window import FAR, OPEN, Window, near

_MASK64 = (1 << 64) - 1


class Counting:
    """From the start of a log, or from the resume.

    Args:
        end: the tick at which DECR reads 0, modulo its width. one_read: a write reads the clock once.
        offset: TB less the ticks of the clock; None: the guest set TB, and the log does not show to what.
        slack: ticks by which a read of DECR may be off what the ticks give (0, or 2 where it is kept in ns).
    """

    def __init__(self, end: Window, one_read: bool, offset: int | None = 0, slack: int = 0) -> None:
        self.end, self.one_read, self.offset, self.slack = end, one_read, offset, slack
        self.bits = 32
        self.tick: int | None = None
        """Of the clock, as last seen."""
        self.tick_us = 0
        self.wrote: Line | None = None
        """The last write to DECR."""
        self.wrote_tb = False
        self.readings = 0
        """Reads of DECR that were held against the clock."""
        self.strain = 0
        """By how many ticks the worst of them does not fit; signed."""
        self._ceiling: int | None = None
        """The end is not beyond the next tick seen plus this."""

    def see(self, line: Line) -> None:
        """One of the thread's lines, in their order."""
        if line.event == TB_STORE:
            self.offset, self.wrote_tb = _signed64(line.old), True
            self._at(_signed64(line.value - line.old), line.t_us)
        elif line.event == TB_LOAD and self.offset is not None:
            self._at(line.value - self.offset & _MASK64, line.t_us)
        elif line.event == DECR_LOAD:
            self._read(line.value)
        elif line.event == DECR_STORE:
            self._write(line)

    def _at(self, tick: int, t_us: int) -> None:
        self.tick, self.tick_us = tick, t_us
        if self._ceiling is not None:
            self._narrow(Window(high=near(tick + self._ceiling, self.bits, self.end.middle)))
            self._ceiling = None

    def reset(self, end: Window) -> None:
        """QEMU itself writes DECR, which then reads 0 at ``end``."""
        self.end, self._ceiling, self.wrote = end, None, None

    def stopped(self, tick: int) -> None:
        """The clock stands at ``tick``."""
        self._at(tick, self.tick_us)

    def _read(self, value: int) -> None:
        decr = signed(value, self.bits)
        before = self._ceiling
        self._ceiling = decr if before is None else min(before, near(decr, self.bits, before))
        if self.tick is not None:
            low = self.tick + decr
            self._narrow(Window(low=low if self.end == OPEN else near(low, self.bits, self.end.middle)))

    def _narrow(self, other: Window) -> None:
        """What a read adds; where that contradicts what was known, the read is right."""
        self.readings += 1
        gap = self.end.widened(self.slack).gap(other)
        if gap:
            self.strain = max(self.strain, gap, key=abs)
            self.end = other
            return
        met = self.end.meet(other)
        if met.low <= met.high:
            self.end = met

    def _write(self, line: Line) -> None:
        self.bits = max(line.bits, 32) if line.bits < 64 else self.bits
        value, old = signed(line.value, self.bits), signed(line.old, self.bits)
        then = self.clock_at(old)
        if not self.one_read:
            then = Window(max(then.low, -FAR if self.tick is None else self.tick))
        self.end = then.plus(value)
        read = self._ceiling
        self._ceiling = value
        if self.one_read and read is not None:
            self._ceiling = min(value, near(read + value - old, self.bits, value))
        self.wrote = line

    def clock_at(self, decr: int) -> Window:
        """The tick at which DECR reads ``decr``, near where the clock was last seen."""
        then = self.end.plus(-decr)
        if self.tick is None or not self.known:
            return then
        return then.plus(near(then.middle, self.bits, self.tick) - then.middle)

    @property
    def known(self) -> bool:
        """Something is known of the end."""
        return self.end != OPEN


def _signed64(value: int) -> int:
    return signed(value, 64)
