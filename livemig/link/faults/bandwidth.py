"""``bandwidth``: the link is slower."""

from __future__ import annotations

from livemig.link.faults.passage import LinkFault, Passage, When
from livemig.timers.ticks import NEVER, NS_PER_S


class Bandwidth(LinkFault):
    """Frames queue at ``rate`` bit/s; whoever sends notices, for the line is free that much later."""

    name = "bandwidth"

    def __init__(self, when: When, rate: int) -> None:
        super().__init__(when)
        self._rate = rate
        self._free = 0

    def apply(self, frame: Passage) -> None:
        self._free = max(self._free, frame.sent_ns) - (-frame.size * 8 * NS_PER_S // self._rate)
        slower = max(0, self._free - frame.free_ns)
        frame.free_ns += slower
        if frame.arrives_ns < NEVER:
            frame.arrives_ns += slower
