"""``reset_peer``: the connection is reset."""

from __future__ import annotations

from livemig.link.faults.passage import LinkFault, Passage, When
from livemig.timers.ticks import NEVER


class ResetPeer(LinkFault):
    """``timeout_ns`` after its beginning; what is on its way then is lost."""

    name = "reset_peer"

    def __init__(self, when: When, timeout_ns: int) -> None:
        super().__init__(when)
        self._timeout = timeout_ns

    @property
    def certain_cut_ns(self) -> int:
        at = self.when.start_ns + self._timeout
        return NEVER if self.when.before or self.when.toxicity < 100 or at >= self.when.stop_ns else at

    def apply(self, frame: Passage) -> None:
        assert self.when.since_ns is not None
        self._cut(frame, self.when.since_ns + self._timeout)
