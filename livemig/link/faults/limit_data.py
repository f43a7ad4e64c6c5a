"""``limit_data``: the connection is closed when so much has passed."""

from __future__ import annotations

from livemig.link.faults.passage import LinkFault, Passage, When


class LimitData(LinkFault):
    """The frame that would go beyond ``limit`` bytes is the one that is cut off."""

    name = "limit_data"

    def __init__(self, when: When, limit: int) -> None:
        super().__init__(when)
        self._limit = limit
        self._passed = 0

    def apply(self, frame: Passage) -> None:
        left = max(self._limit - self._passed, 0)
        self._passed += frame.size
        if self._passed > self._limit:
            frame.most = left
            self._cut(frame, frame.arrives_ns)
