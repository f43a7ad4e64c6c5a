"""A direction of a link with its faults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from livemig.link.faults.passage import LinkFault, Passage
from livemig.link.model import LinkModel
from livemig.timers.ticks import NEVER

Tell = Callable[[int, str, str], None]
"""Told of the first time that a fault acts: when, its name, on which frame."""


@dataclass(slots=True)
class FaultyLink:
    """Carries frames as ``model`` does, and lets ``faults`` act on each, in their order.

    Attributes:
        lost_ns: when the connection is lost; NEVER if it is not. cause: by which fault.
        damaged: the frames that arrive damaged: when, and of which type.
    """

    model: LinkModel
    faults: Sequence[LinkFault]
    tell: Tell = lambda at, name, kind: None
    lost_ns: int = NEVER
    cause: str = ""
    damaged: set[tuple[int, str]] = field(default_factory=set)
    _last: int = 0
    _last_urgent: int = 0
    _told: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for fault in self.faults:
            if fault.certain_cut_ns < self.lost_ns:
                self.lost_ns, self.cause = fault.certain_cut_ns, fault.name

    @property
    def cut_ns(self) -> int:
        """When both sides are told that it is lost; NEVER if it is not."""
        if self.lost_ns >= NEVER:
            return NEVER
        return self.lost_ns + max(fault.closing_ns(self.lost_ns) for fault in self.faults)

    def transmit(self, now: int, size: int, kind: str = "") -> tuple[int, int]:
        """Send ``size`` bytes, a frame of type ``kind``: when the line is free again, and when they arrive (ns)."""
        frame = self._passed(now, size, kind, *self.model.transmit(now, size))
        self._last = max(self._last, frame.arrives_ns)
        if frame.damaged:
            self.damaged.add((self._last, kind))
        return frame.free_ns, self._last

    def overtake(self, now: int, size: int, kind: str = "") -> tuple[int, int]:
        """The same, ahead of what stands in line."""
        frame = self._passed(now, size, kind, *self.model.overtake(now, size))
        self._last_urgent = max(self._last_urgent, frame.arrives_ns)
        if frame.damaged:
            self.damaged.add((self._last_urgent, kind))
        return frame.free_ns, self._last_urgent

    def _passed(self, now: int, size: int, kind: str, free: int, arrives: int) -> Passage:
        frame = Passage(kind, size, now, free, arrives)
        for fault in self.faults:
            if fault.act(frame) and fault.name not in self._told:
                self._told.add(fault.name)
                self.tell(now, fault.name, kind)
        if frame.cut_ns < self.lost_ns:
            self.lost_ns, self.cause = frame.cut_ns, frame.cause
        return frame
