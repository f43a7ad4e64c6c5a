"""What was raised and not delivered at the stop, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping

from livemig.analysis.arm import Key
from livemig.analysis.crossing import Crossing, Moment
from livemig.analysis.level import is_up
from livemig.analysis.log import Event, Place
from livemig.analysis.manifest import Machine
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.stretch import Stretch
from livemig.analysis.verdict import Evidence


class Crossed:
    """What was raised at the stop of one hop.

    Attributes:
        deliveries: where each of it was delivered, until the guest armed that timer again.
        carried: what was still raised, and not delivered, at the next hop's stop: that hop's affair from there.
    """

    def __init__(self, stop: Moment, resume: Moment) -> None:
        self.stop, self.resume = stop, resume
        self.deliveries: dict[Key, list[Evidence]] = {key: [] for key in sorted(stop.raised())}
        self.carried: frozenset[Key] = frozenset()

    def forgotten(self) -> list[Key]:
        """What was never delivered, and not raised at the resume either."""
        kept = self.resume.raised() | self.carried
        return [key for key, seen in self.deliveries.items() if not seen and key not in kept]

    def doubled(self) -> list[Key]:
        """What was delivered more than once."""
        return [key for key, seen in self.deliveries.items() if len(seen) > 1]


class Pending(Observer):
    """Counts deliveries of what was pending at the stop, hop by hop, until the guest arms that timer again; where the
    timer has reloaded itself since, the first delivery is the one that counts, and a second answers the reload.

    A level that nobody took the cause away of is delivered again, and that is no second time.

    What was not pending at the resume, and is raised only ``lost_after_ns`` after it, is another interrupt.
    """

    def __init__(self, crossing: Crossing, machine: Machine, lost_after_ns: int) -> None:
        self._machine = machine
        self.hops: list[Crossed] = []
        self._open: set[Key] = set()
        self._reloaded: set[Key] = set()
        self._crossing = crossing
        self._lost_after = lost_after_ns

    def handlers(self) -> Mapping[str, Handler]:
        return {
            "machine_resumed": self._resumed,
            "interrupt_masked": self._raised,
            "interrupt": self._interrupt,
            "timer_armed": self._armed,
        }

    def _resumed(self, event: Event, place: Place) -> None:
        if len(self._crossing.crossings) == len(self.hops):
            return
        stop, resume = self._crossing.crossings[-1]
        if self.hops:
            last = self.hops[-1]
            last.carried = frozenset(key for key in self._open if not last.deliveries[key]) & stop.raised()
        self.hops.append(Crossed(stop, resume))
        self._open = set(self.hops[-1].deliveries)
        self._reloaded.clear()

    def _raised(self, event: Event, place: Place) -> None:
        if (key := (event["cpu"], event["timer"])) not in self._open:
            return
        resume = self.hops[-1].resume
        if key not in resume.raised() and event["t_ns"] - resume.t_ns > self._lost_after:
            self._open.discard(key)

    def _interrupt(self, event: Event, place: Place) -> None:
        if self._open and (key := (event["cpu"], event["timer"])) in self._open:
            seen = self.hops[-1].deliveries[key]
            if not seen or seen[-1].t_ns == event["t_ns"] or not is_up(self._machine, event):
                seen.append(Evidence(*place, event["t_ns"]))
            if key in self._reloaded:
                self._open.discard(key)

    def _armed(self, event: Event, place: Place) -> None:
        key = event["cpu"], event["timer"]
        if not self._open or event["cause"] not in ("guest", "reload"):
            return
        if event["cause"] == "guest" or (self.hops and self.hops[-1].deliveries.get(key)):
            self._open.discard(key)
        else:
            self._reloaded.add(key)

    def stretch(self, stretch: Stretch) -> None:
        if self._open:
            super().stretch(stretch)
