"""A timer that was armed, as the account keeps it, and what is found of it."""

from __future__ import annotations

from typing import NamedTuple

from livemig.analysis.log import Event, Place
from livemig.analysis.tally import Tally
from livemig.analysis.verdict import Evidence

Key = tuple[int, str]
"""CPU and timer."""


class Finding(NamedTuple):
    """An arm that did not end as it should. ``by_ns``: how late, early or overdue; 0: that means nothing."""

    cpu: int
    timer: str
    due_ns: int | None
    by_ns: int
    seen: Evidence


class Arm:
    """A timer that counts."""

    __slots__ = ("deadline_ns", "due", "epoch", "place", "raised", "t_ns", "value")

    def __init__(self, event: Event, place: Place, epoch: int, behind: int) -> None:
        self.t_ns: int = event["t_ns"]
        self.value: int = event["value"]
        self.deadline_ns: int | None = event["deadline_ns"]
        self.due = None if self.deadline_ns is None else self.deadline_ns - behind
        """When the interrupt is due, in guest time; None: never."""
        self.raised: int | None = None
        """When it was raised and the guest had it masked, in guest time."""
        self.epoch = epoch
        """How many pauses came before it."""
        self.place = place

    @property
    def seen(self) -> Evidence:
        return Evidence(*self.place, self.t_ns)


class Cell:
    """One timer of one CPU: the arm that counts, and an earlier one, raised, that waits for the guest."""

    __slots__ = ("answered_ns", "counting", "tally", "waiting")

    def __init__(self) -> None:
        self.answered_ns: int | None = None
        """When an interrupt was delivered last, if nothing was armed since."""
        self.counting: Arm | None = None
        self.waiting: Arm | None = None
        self.tally = Tally()

    def is_settled(self) -> bool:
        """Whether the next interrupt leaves nothing behind: it answers all there is."""
        return self.waiting is None and (self.counting is None or self.counting.due is not None)
