"""``timeout``: nothing passes any more; after a while, or never, the connection is closed."""

from __future__ import annotations

from livemig.link.faults.passage import LinkFault, Passage, When
from livemig.timers.ticks import NEVER


class Timeout(LinkFault):
    """``timeout_ns`` 0: a black hole. Once it has swallowed anything it swallows all: a stream has no gaps."""

    name = "timeout"

    def __init__(self, when: When, timeout_ns: int) -> None:
        super().__init__(when)
        self._timeout = timeout_ns
        self._swallowed = False

    def begin_anew(self) -> None:
        self._swallowed = False

    def act(self, frame: Passage) -> bool:
        if self._swallowed:
            frame.arrives_ns = NEVER
        return super().act(frame)

    def apply(self, frame: Passage) -> None:
        assert self.when.since_ns is not None
        self._swallowed = True
        frame.arrives_ns = NEVER
        if self._timeout:
            self._cut(frame, self.when.since_ns + self._timeout)
