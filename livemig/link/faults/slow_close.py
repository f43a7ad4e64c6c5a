"""``slow_close``: the end of the connection is noticed late."""

from __future__ import annotations

from livemig.link.faults.passage import LinkFault, Passage, When


class SlowClose(LinkFault):
    """Where another fault cuts the connection, both sides are told ``delay_ns`` later."""

    name = "slow_close"

    def __init__(self, when: When, delay_ns: int) -> None:
        super().__init__(when)
        self._delay = delay_ns

    def closing_ns(self, at_ns: int) -> int:
        return self._delay if self.when.covers(at_ns) else 0

    def apply(self, frame: Passage) -> None:
        """Frames pass."""
