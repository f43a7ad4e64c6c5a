"""What a CPU keeps of each of its timers beside their state, and of its own masking."""

from __future__ import annotations

from dataclasses import dataclass

from livemig.timers.decrementer import Decrementer
from livemig.timers.facility import Timer
from livemig.timers.ticks import NEVER


@dataclass(frozen=True, slots=True)
class Masking:
    """Stretches in which the guest keeps EE off: ``length`` ticks, every ``every`` ticks; none where NEVER."""

    every: int = NEVER
    length: int = 0


class Slot:
    """One timer of a running CPU; ``level``, ``ee``: as in :class:`Timer`.

    ``count``: as in :class:`Timers`. ``due``: the tick at which it falls due. ``pending``: the tick at which the
    raised, undelivered interrupt fell due; ``line``: the same for a level line, which stays up after delivery.
    ``step_at``: the guest's step that belongs to it; ``entering``: ticks from the handler's entry write, which is
    what ``step_at`` is then, to its step; 0 if it is done.
    """

    __slots__ = ("count", "due", "ee", "entering", "index", "level", "line", "pending", "step_at")

    def __init__(self, index: int, timer: Timer, count: Decrementer) -> None:
        self.index, self.count = index, count
        self.level, self.ee = timer.level, timer.ee
        self.due = self.step_at = NEVER
        self.pending: int | None = None
        self.line: int | None = None
        self.entering = 0

    @property
    def raised(self) -> int | None:
        """The tick at which what waits for delivery fell due."""
        return self.pending if self.pending is not None else self.line
