"""The same guest, never migrated, beside this run.

Until the stop, or until a host stands still, the two must be equal, event by event. After it a guest that
arms its timers anew from every handler goes its way later by the blackout: it misses what the twin had inside
the blackout (if it arms to absolute times) or in the twin's last stretch of that length (if it arms relative
to the handler).

A twin boots at 0, a guest in wall time when its process is ready: all that the twin does counts from the boot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from livemig.analysis.crossing import Crossing
from livemig.analysis.faults import Faults
from livemig.analysis.held import Held, covered_ns
from livemig.analysis.log import Event, Place
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.stretch import Stretch
from livemig.analysis.verdict import Evidence

_GUEST = ("timer_armed", "interrupt", "interrupt_masked", "interrupt_coalesced")


class Twin(Observer):
    """Walks the twin's log in step with the history up to the first stop, and counts in the rest.

    Args:
        history: the twin's events.
        exact: virtual time. In wall time the two are equal until the machine is reset: a busy host does that late.
    """

    def __init__(
        self,
        history: Iterable[tuple[Event, Place]],
        exact: bool,
        crossing: Crossing,
        faults: Faults,
        held: Held,
    ) -> None:
        self.differs: tuple[Evidence, ...] = ()
        """The first event before the stop that only one of them has, or that they have otherwise."""
        self.delivered: Counter[int] = Counter()
        """The twin's deliveries by CPU, up to the end of this run."""
        self.excused: Counter[int] = Counter()
        """How many of them a guest may miss for having stood still."""
        self._crossing, self._faults, self._held = crossing, faults, held
        self._twin = _guest_events(history)
        self._next = next(self._twin, None)
        self._boot_ns: int | None = None
        self._exact, self._apart = exact, False

    def handlers(self) -> Mapping[str, Handler]:
        return {**dict.fromkeys(_GUEST, self._compare), "machine_resumed": self._boots, "machine_reset": self._reset}

    def _boots(self, event: Event, place: Place) -> None:
        """The first event of the guest is of its boot."""
        if self._boot_ns is None and event["side"] == self._crossing.owner:
            self._boot_ns = event["t_ns"]
            if self._next is not None:
                self._next = self._since_boot(self._next)

    def _reset(self, event: Event, place: Place) -> None:
        self._apart |= not self._exact

    def _since_boot(self, entry: tuple[Event, Place]) -> tuple[Event, Place]:
        """As it would be of a twin that boots when the guest does."""
        boot_ns, (event, place) = self._boot_ns or 0, entry
        if not boot_ns:
            return entry
        due_ns = event["deadline_ns"]
        moved = {"t_ns": event["t_ns"] + boot_ns, "deadline_ns": None if due_ns is None else due_ns + boot_ns}
        return event | moved, place

    def _advance(self) -> None:
        following = next(self._twin, None)
        self._next = None if following is None else self._since_boot(following)

    def _compare(self, event: Event, place: Place) -> None:
        self._boots(event, place)
        if not self._walks(event["side"]):
            return
        twin = self._next
        self._advance()
        if twin is None:
            self.differs = (Evidence(*place, event["t_ns"]),)
            return
        theirs, where = twin
        if theirs["event"] == "interrupt":
            self.delivered[theirs["cpu"]] += 1
        if theirs | {"side": event["side"]} != event:
            self.differs = Evidence(*place, event["t_ns"]), Evidence(*where, theirs["t_ns"])

    def stretch(self, stretch: Stretch) -> None:
        if self._walks(stretch.side):
            super().stretch(stretch)

    def _walks(self, side: str) -> bool:
        """Whether what ``side`` does is held against the twin's: until the first stop, or the first difference."""
        crossing = self._crossing
        apart = crossing.pauses or crossing.held or crossing.reset_by_hand
        alike = not (self.differs or self._apart) and crossing.running is not None and not apart
        return alike and side == crossing.owner and self._held.first_ns is None

    def close(self, end_ns: int) -> None:
        """Count what the twin did after the stop, up to ``end_ns``, the end of this run."""
        crossing = self._crossing
        pauses = sorted(crossing.pauses + crossing.held)
        if crossing.held_since is not None:
            pauses.append((crossing.held_since, end_ns))
        stood_still = sum(resume - stop for stop, resume in pauses)
        stop_ns = pauses[0][0] if pauses else end_ns
        if (held_ns := self._held.first_ns) is not None:
            stop_ns = min(stop_ns, held_ns)
        inside: Counter[int] = Counter()
        last: Counter[int] = Counter()
        while self._next is not None and (now := self._next[0]["t_ns"]) <= end_ns:
            theirs, where = self._next
            if now < stop_ns and not (self.differs or self._apart):
                self.differs = (Evidence(*where, now),)
            if theirs["event"] == "interrupt":
                cpu = theirs["cpu"]
                self.delivered[cpu] += 1
                stood = any(stop <= now <= resume for stop, resume in pauses)
                held = bool(self._faults.within(cpu, now, now + 1) or self._held.within(now, now + 1))
                inside[cpu] += stood or held
                away = self._faults.stood_ns(cpu, 0, end_ns) + covered_ns(self._held.within(0, end_ns))
                last[cpu] += now > end_ns - stood_still - away
            self._advance()
        self.excused = inside | last
        if pauses or held_ns is not None:
            self.excused.update(self.delivered.keys())

    def missing(self, cpu: int, delivered: int) -> int:
        """Deliveries that the twin had and this run, with ``delivered`` of them on that CPU, has not."""
        return self.delivered[cpu] - delivered


def _guest_events(history: Iterable[tuple[Event, Place]]) -> Iterator[tuple[Event, Place]]:
    return (entry for entry in history if entry[0]["event"] in _GUEST)
