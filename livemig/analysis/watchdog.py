"""The guest's watchdog, before and after it crossed."""

from __future__ import annotations

from collections.abc import Mapping

from livemig.analysis.crossing import Crossing
from livemig.analysis.log import Event, Place
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.stretch import Stretch
from livemig.analysis.verdict import EVIDENCE_LIMIT, Evidence

TIMER = "watchdog"


class Watchdog(Observer):
    def __init__(self, crossing: Crossing) -> None:
        self.armed = 0
        self.bites_before = 0
        self.bites_after: list[Evidence] = []
        """The first few watchdog interrupts after the crossing."""
        self._crossing = crossing

    def handlers(self) -> Mapping[str, Handler]:
        return {"timer_armed": self._armed, "interrupt": self._interrupt}

    def _armed(self, event: Event, place: Place) -> None:
        self.armed += event["timer"] == TIMER

    def stretch(self, stretch: Stretch) -> None:
        if stretch.timer == TIMER:
            super().stretch(stretch)

    def _interrupt(self, event: Event, place: Place) -> None:
        if event["timer"] != TIMER:
            return
        if not self._crossing.crossed:
            self.bites_before += 1
        elif len(self.bites_after) < EVIDENCE_LIMIT:
            self.bites_after.append(Evidence(*place, event["t_ns"]))
