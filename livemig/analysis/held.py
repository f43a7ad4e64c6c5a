"""When a host did not run its side's emulator, because the scenario wanted it so: on no account of the strategy.

A side says of itself when its process was stopped and when it went on. That explains what the guest's CPUs did not do
meanwhile, to the nanosecond, and nothing else; and that whatever was due from that side was not done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from livemig.analysis.crossing import Crossing
from livemig.analysis.faults import Interval
from livemig.analysis.log import Event, Place
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.policy import TimePolicy
from livemig.analysis.ticks import tick_ns
from livemig.analysis.verdict import Evidence


class Held(Observer):
    """The stretches in which a host stood.

    Attributes:
        worlds: of either side, in ns of the world. seen: where the first few of them begin in the log.
    """

    def __init__(self, crossing: Crossing, policy: TimePolicy, hz: int) -> None:
        self.worlds: list[Interval] = []
        self.seen: list[Evidence] = []
        self._crossing, self._policy, self._tick = crossing, policy, tick_ns(hz)
        self._guests: list[Interval] = []
        """Those of the side that ran the guest, in guest time; what was executed at their end comes at the next tick,
        so that each is a tick longer."""
        self._since: dict[str, tuple[int, int | None]] = {}
        """By side: since when, in the world's time and, if it runs the guest, in the guest's."""

    def handlers(self) -> Mapping[str, Handler]:
        return {"host_stopped": self._stopped, "host_continued": self._continued}

    def _stopped(self, event: Event, place: Place) -> None:
        side, now = event["side"], event["t_ns"]
        guest_ns = now - self._policy.behind_ns if self._crossing.running == side else None
        self._since[side] = now, guest_ns
        if len(self.seen) < 3:
            self.seen.append(Evidence(*place, now))

    def _continued(self, event: Event, place: Place) -> None:
        begin, guest_ns = self._since.pop(event["side"])
        now = event["t_ns"]
        self.worlds.append((begin, now))
        if guest_ns is not None:
            self._guests.append((guest_ns, guest_ns + now - begin + self._tick))

    @property
    def first_ns(self) -> int | None:
        """When a host stood for the first time; None: never."""
        begins = [begin for begin, _ in (*self.worlds[:1], *self._since.values())]
        return min(begins, default=None)

    def within(self, begin: int, end: int) -> list[Interval]:
        """The parts of [``begin``, ``end``), in guest time, in which the guest's host stood."""
        parts: list[Interval] = []
        if begin >= end:
            return parts
        for since, until in reversed(self._guests):
            if until <= begin:
                break
            if since < end:
                parts.append((max(since, begin), min(until, end)))
        for _, guest_ns in self._since.values():
            if guest_ns is not None and guest_ns < end:
                parts.append((max(guest_ns, begin), end))
        return parts

    def overlap_ns(self, begin: int, end: int) -> int:
        """For how much of [``begin``, ``end``), in the world's time, either host stood."""
        return covered_ns((max(since, begin), min(until, end)) for since, until in self.worlds)


def covered_ns(intervals: Iterable[Interval]) -> int:
    """What they cover together; one that is empty or ends before it begins covers nothing."""
    total, reached = 0, None
    for begin, end in sorted(intervals):
        begin = begin if reached is None else max(begin, reached)
        if begin < end:
            total += end - begin
            reached = end
    return total
