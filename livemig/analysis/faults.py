"""When CPUs stood because a page of their memory had not arrived: in postcopy, and on no account of the strategy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from livemig.analysis.log import Event, Place
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.policy import TimePolicy
from livemig.analysis.ticks import tick_ns
from livemig.analysis.verdict import Evidence

Interval = tuple[int, int]
"""[begin, end) of guest time, in ns."""


class Faults(Observer):
    """The intervals by CPU; what was executed at their end comes at the next tick, so that each is a tick longer.

    Attributes:
        count, requested: how many there were, and for how many of them a page was asked for.
        ended: what `postcopy_ended` says; None: not all pages arrived.
        late_ns: by CPU, the sum of what faults delayed interrupts by, as the destination says.
    """

    def __init__(self, policy: TimePolicy, hz: int) -> None:
        self.count = self.requested = self.worst_wait_ns = 0
        self.late_ns: defaultdict[int, int] = defaultdict(int)
        self.ended: Event | None = None
        self.ended_seen: Evidence | None = None
        self._policy, self._tick = policy, tick_ns(hz)
        self._end_ns = 0
        self._stood_ns: defaultdict[int, int] = defaultdict(int)
        self._over: dict[int, list[Interval]] = {}
        self._since: dict[int, int] = {}

    def handlers(self) -> Mapping[str, Handler]:
        return {"postcopy_fault": self._fault, "page_arrived": self._arrived, "postcopy_ended": self._ended}

    def _guest_ns(self, event: Event) -> int:
        return int(event["t_ns"]) - self._policy.behind_ns

    def _fault(self, event: Event, place: Place) -> None:
        self.count += 1
        self.requested += bool(event["requested"])
        self._since[event["cpu"]] = self._guest_ns(event)

    def _arrived(self, event: Event, place: Place) -> None:
        begin = self._since.pop(event["cpu"])
        self._over.setdefault(event["cpu"], []).append((begin, self._guest_ns(event) + self._tick))
        self.late_ns[event["cpu"]] += event["late_ns"]
        self._stood_ns[event["cpu"]] += event["wait_ns"]
        self.worst_wait_ns = max(self.worst_wait_ns, event["wait_ns"])

    def _ended(self, event: Event, place: Place) -> None:
        self.ended, self.ended_seen = event, Evidence(*place, event["t_ns"])

    def close(self, end_ns: int) -> None:
        """Who stands then, stands for good."""
        self._end_ns = end_ns - self._policy.behind_ns

    def within(self, cpu: int, begin: int, end: int) -> list[Interval]:
        """The parts of [``begin``, ``end``) in which ``cpu`` stood."""
        parts: list[Interval] = []
        if begin >= end:
            return parts
        for since, until in reversed(self._over.get(cpu, ())):
            if until <= begin:
                break
            if since < end:
                parts.append((max(since, begin), min(until, end)))
        if (since := self._since.get(cpu, end)) < end:
            parts.append((max(since, begin), end))
        return parts

    def stood_ns(self, cpu: int, begin: int, end: int) -> int:
        """For how much of it."""
        return sum(until - since for since, until in self.within(cpu, begin, end))

    def as_dict(self, cpu_count: int) -> dict[str, Any] | None:
        """For the result; None: no postcopy. Without its end what shows is what there was until then."""
        if self.ended is None and not self.count:
            return None
        cpus, done = range(cpu_count), self.ended
        since = {cpu: self._end_ns - begin for cpu, begin in self._since.items()}
        stood = [self._stood_ns[cpu] + since.get(cpu, 0) for cpu in cpus]
        return {
            "pages": None if done is None else done["pages"],
            "requests": self.requested if done is None else done["requests"],
            "preempted": None if done is None else done.get("preempted", 0),
            "faults": self.count,
            "blocktime_ns": None if done is None else done["blocktime_ns"],
            "vcpu_blocktime_ns": stood if done is None else list(done["vcpu_blocktime_ns"]),
            "worst_wait_ns": max(self.worst_wait_ns, *since.values(), 0),
            "interrupts_late_ns": sum(self.late_ns.values()),
            "vcpu_interrupts_late_ns": [self.late_ns[cpu] for cpu in cpus],
            "standing": sorted(since),
        }
