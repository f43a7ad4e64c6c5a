"""The other host's time of day, measured on the migration channel itself.

NTP's four timestamps (RFC 5905, section 8): a probe leaves here at t1 and arrives there at t2, the reply leaves there
at t3 and arrives here at t4, each by the clock of its place. Whatever the two trips took, the other clock is ahead by
no less than t3 - t4 and by no more than t2 - t1: so the middle is wrong by half the round trip at most, however
unequal the trips are. Of several samples that of the shortest round trip is kept.

Assumed: over the migration both clocks go at the same rate, and nobody sets them. A drift of 1 ppm adds 1 us for each
second from the sample that is kept to the resume.
"""

from __future__ import annotations

from typing import Final

from livemig.machine.time_state import PeerClock

FIRST: Final = 8
"""Samples before the first pass, when the line is idle; then one in each pass that the guest lives through."""


class PeerClockMeter:
    """Times are in ns of a host's time of day. ``best``: what is known of the other's; None until the first reply."""

    def __init__(self) -> None:
        self.best: PeerClock | None = None
        self.samples = 0
        self._sent: int | None = None

    @property
    def waiting(self) -> bool:
        """A probe is on its way, or its reply."""
        return self._sent is not None

    def sent(self, t1: int) -> None:
        """A probe leaves."""
        self._sent = t1

    def answered(self, t2: int, t3: int, t4: int) -> None:
        """Its reply is here."""
        t1, self._sent = self._sent, None
        assert t1 is not None
        self.samples += 1
        least, most = t3 - t4, t2 - t1
        offset = (least + most) // 2
        sample = PeerClock(offset, most - offset)
        if self.best is None or sample.bound_ns < self.best.bound_ns:
            self.best = sample

    def give_up(self) -> None:
        """No reply will be waited for."""
        self._sent = None
