"""A direction of a link with its faults."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from livemig.link.faults.harm import NO_HARM, Harm
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
    """

    model: LinkModel
    faults: Sequence[LinkFault]
    tell: Tell = lambda at, name, kind: None
    lost_ns: int = NEVER
    cause: str = ""
    _harms: dict[tuple[int, str], deque[Harm]] = field(default_factory=dict)
    _last: int = 0
    _last_urgent: int = 0
    _told: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._foresee()

    def _foresee(self) -> None:
        """What will cut it, whatever is sent."""
        for fault in self.faults:
            if fault.certain_cut_ns < self.lost_ns:
                self.lost_ns, self.cause = fault.certain_cut_ns, fault.name

    @property
    def cut_ns(self) -> int:
        """When both sides are told that it is lost; NEVER if it is not."""
        if self.lost_ns >= NEVER:
            return NEVER
        return self.lost_ns + max(fault.closing_ns(self.lost_ns) for fault in self.faults)

    @property
    def swallows(self) -> bool:
        """Nothing that is sent arrives any more."""
        return self._last >= NEVER

    def transmit(self, now: int, size: int, kind: str = "") -> tuple[int, int]:
        """Send ``size`` bytes, a frame of type ``kind``: when the line is free again, and when they arrive (ns)."""
        frame = self._passed(now, size, kind, *self.model.transmit(now, size))
        self._last = max(self._last, frame.arrives_ns)
        self._remember(frame, self._last)
        return frame.free_ns, self._last

    def overtake(self, now: int, size: int, kind: str = "") -> tuple[int, int]:
        """The same, ahead of what stands in line."""
        frame = self._passed(now, size, kind, *self.model.overtake(now, size))
        self._last_urgent = max(self._last_urgent, frame.arrives_ns)
        self._remember(frame, self._last_urgent)
        return frame.free_ns, self._last_urgent

    def claim(self, arrives_ns: int, kind: str) -> Harm:
        """What is left to be done to a frame that was said to arrive then: to be asked once for each, in the order in
        which they were sent."""
        harms = self._harms.get((arrives_ns, kind))
        if harms is None:
            return NO_HARM
        harm = harms.popleft()
        if not harms:
            del self._harms[arrives_ns, kind]
        return harm

    def mend(self, now: int) -> None:
        """The connection was lost, and another may be made: what cut this one is over."""
        if self.lost_ns <= now:
            self.faults = [fault for fault in self.faults if fault.name != self.cause]
        self.lost_ns, self.cause = NEVER, ""
        self._last = self._last_urgent = 0
        self._harms.clear()
        for fault in self.faults:
            fault.begin_anew()
        self._foresee()

    def tell_once(self, now: int, name: str, kind: str = "") -> None:
        """That the fault ``name`` acts, if it has not been told of."""
        if name not in self._told:
            self._told.add(name)
            self.tell(now, name, kind)

    def _remember(self, frame: Passage, arrives_ns: int) -> None:
        cut_off = frame.most is not None and self.lost_ns == frame.cut_ns
        if arrives_ns < NEVER or cut_off:
            self._harms.setdefault((arrives_ns, frame.kind), deque()).append(frame.harm)

    def _passed(self, now: int, size: int, kind: str, free: int, arrives: int) -> Passage:
        frame = Passage(kind, size, now, free, arrives)
        for fault in self.faults:
            if fault.act(frame):
                self.tell_once(now, fault.name, kind)
        if frame.cut_ns < self.lost_ns:
            self.lost_ns, self.cause = frame.cut_ns, frame.cause
        return frame
