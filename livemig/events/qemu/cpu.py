"""What the log shows of one CPU's decrementer. Times are ns on the log's axis."""

from __future__ import annotations

from livemig.events.qemu.ticks import ns_up, signed, ticks_down

BITS = 32


class Cpu:
    """``index``: its number. Flags are of the interrupt that the last write asks for."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.end_ns: int | None = None
        """When DECR is, or was, 0; None: not known."""
        self.due_ns: int | None = None
        """When the interrupt is due; None: not known, or never."""
        self.armed = False
        """The guest's first write has been seen."""
        self.counting = False
        """Not raised yet, and not taken."""
        self.raised = False
        """Raised here, and not taken."""
        self.carried = False
        """Raised on the source, and not taken there."""
        self.raised_ns = -1
        """When it was last raised."""
        self.raise_by_ns = -1
        """Until when a raise may still be logged, of an interrupt that the handler was seen to take already."""
        self.reading: tuple[int, int] | None = None
        """When its TB was last read, and what it was."""

    def write(self, t_ns: int, value: int, old: int, hz: int, level: bool) -> None:
        """The guest writes DECR, in which ``old`` was."""
        self._count(t_ns, signed(value, BITS), signed(old, BITS), hz, level)
        self.armed = self.counting = True
        self.carried = False
        self.raised = self.raised and not (level and signed(value, BITS) >= 0)

    def _count(self, t_ns: int, decr: int, old: int, hz: int, level: bool) -> None:
        """The interrupt is due at 0, or at once if the write sets the sign bit (level) or turns it (edge)."""
        self.end_ns = t_ns + ns_up(decr, hz)
        if decr >= 0:
            self.due_ns = self.end_ns
        elif level or old >= 0:
            self.due_ns = t_ns
        else:  # It counts on through the whole range, until the sign bit turns again.
            self.due_ns = t_ns + ns_up(decr + (1 << BITS), hz)

    def take(self) -> None:
        """The guest's handler deals with the interrupt."""
        self.counting = self.raised = self.carried = False

    def decr(self, t_ns: int, hz: int) -> int | None:
        """What DECR reads at ``t_ns``; None if that is not known."""
        return None if self.end_ns is None else signed(ticks_down(self.end_ns - t_ns, hz), BITS)

    def stand(self, ns: int) -> None:
        """The machine stood still for so long, and its clock with it."""
        self.end_ns = None if self.end_ns is None else self.end_ns + ns
        self.due_ns = None if self.due_ns is None else self.due_ns + ns

    def cross(self) -> None:
        """The source is done with it. Whether the destination raises again what was raised, is to be seen."""
        self.carried, self.raised = self.raised, False
        self.counting = self.counting or self.carried
        self.end_ns = self.due_ns = self.reading = None

    def resume(self, t_ns: int, decr: int, hz: int, level: bool) -> None:
        """It runs on the destination with ``decr`` as that was loaded."""
        self._count(t_ns, decr, -1, hz, level)
