"""Did the guest ever run where it must not."""

from __future__ import annotations

from collections.abc import Mapping

from livemig.analysis.crossing import Crossing
from livemig.analysis.log import Event, Place
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.stretch import Stretch
from livemig.analysis.verdict import EVIDENCE_LIMIT, Evidence


class Ownership(Observer):
    """Finds what only a running guest does (arm a timer, enter a handler) on a side that does not run it."""

    def __init__(self, crossing: Crossing) -> None:
        self.acts = 0
        self.trespasses = 0
        self.first: list[tuple[str, Evidence]] = []
        """The first few trespasses: which side, and where."""
        self._crossing = crossing

    def handlers(self) -> Mapping[str, Handler]:
        return {"timer_armed": self._armed, "interrupt": self._acts}

    def _armed(self, event: Event, place: Place) -> None:
        if event["cause"] == "guest":
            self._acts(event, place)

    def _acts(self, event: Event, place: Place) -> None:
        self.acts += 1
        if event["side"] != self._crossing.running:
            self.trespasses += 1
            if len(self.first) < EVIDENCE_LIMIT:
                self.first.append((event["side"], Evidence(*place, event["t_ns"])))

    def stretch(self, stretch: Stretch) -> None:
        known = self.acts, self.trespasses
        for event, place in stretch.events(range(min(len(stretch), EVIDENCE_LIMIT))):
            self._acts(event, place)
        self.acts = known[0] + len(stretch)
        if stretch.side != self._crossing.running:
            self.trespasses = known[1] + len(stretch)
