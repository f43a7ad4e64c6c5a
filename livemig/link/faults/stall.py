"""``stall``: frames wait; nothing is lost."""

from __future__ import annotations

from livemig.link.faults.passage import LinkFault, Passage, When


class Stall(LinkFault):
    """What would arrive within ``duration`` of its beginning arrives at its end."""

    name = "stall"

    def __init__(self, when: When, duration_ns: int) -> None:
        super().__init__(when)
        self._duration = duration_ns

    def apply(self, frame: Passage) -> None:
        assert self.when.since_ns is not None
        over = self.when.since_ns + self._duration
        if frame.arrives_ns < over:
            frame.arrives_ns, frame.silent = over, True
