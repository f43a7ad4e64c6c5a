"""A second count of arms and interrupts, straight from the events, to hold the account against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from livemig.analysis.crossing import Crossing
from livemig.analysis.log import Event, Place
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.stretch import Stretch


class Census(Observer):
    """Counts by CPU, on the side that owns the guest. It knows nothing of deadlines or outcomes."""

    def __init__(self, crossing: Crossing) -> None:
        self.armed: Counter[int] = Counter()
        self.delivered: Counter[int] = Counter()
        self._crossing = crossing

    def handlers(self) -> Mapping[str, Handler]:
        return {"timer_armed": self._armed, "interrupt": self._interrupt}

    def _armed(self, event: Event, place: Place) -> None:
        if self._crossing.is_new_arm(event):
            self.armed[event["cpu"]] += 1

    def _interrupt(self, event: Event, place: Place) -> None:
        if event["side"] == self._crossing.owner:
            self.delivered[event["cpu"]] += 1

    def stretch(self, stretch: Stretch) -> None:
        if stretch.side == self._crossing.owner:
            for counts, which in ((self.armed, stretch.armed), (self.delivered, ~stretch.armed)):
                by_cpu = np.bincount(stretch.cpu[which])
                counts.update({cpu: int(by_cpu[cpu]) for cpu in np.flatnonzero(by_cpu).tolist()})
