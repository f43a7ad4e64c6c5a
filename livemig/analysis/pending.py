"""What was raised and not delivered at the stop, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping

from livemig.analysis.account import Key
from livemig.analysis.crossing import Crossing
from livemig.analysis.log import Event, Place
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.stretch import Stretch
from livemig.analysis.verdict import Evidence


class Pending(Observer):
    """Counts deliveries of what was pending at the stop, until the guest arms that timer again; where the timer has
    reloaded itself since, the first delivery is the one that counts, and a second answers the reload.

    What was not pending at the resume, and is raised only ``lost_after_ns`` after it, is another interrupt.
    """

    def __init__(self, crossing: Crossing, lost_after_ns: int) -> None:
        self.deliveries: dict[Key, list[Evidence]] = {}
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
        if self._crossing.crossed is not None and not self.deliveries:
            stop, _ = self._crossing.crossed
            self.deliveries = {key: [] for key in sorted(stop.raised())}
            self._open = set(self.deliveries)

    def _raised(self, event: Event, place: Place) -> None:
        if self._crossing.crossed is None or (key := (event["cpu"], event["timer"])) not in self._open:
            return
        _, resume = self._crossing.crossed
        if key not in resume.raised() and event["t_ns"] - resume.t_ns > self._lost_after:
            self._open.discard(key)

    def _interrupt(self, event: Event, place: Place) -> None:
        if self._open and (key := (event["cpu"], event["timer"])) in self._open:
            self.deliveries[key].append(Evidence(*place, event["t_ns"]))
            if key in self._reloaded:
                self._open.discard(key)

    def _armed(self, event: Event, place: Place) -> None:
        key = event["cpu"], event["timer"]
        if not self._open or event["cause"] not in ("guest", "reload"):
            return
        if event["cause"] == "guest" or self.deliveries.get(key):
            self._open.discard(key)
        else:
            self._reloaded.add(key)

    def stretch(self, stretch: Stretch) -> None:
        if self._open:
            super().stretch(stretch)
