"""How long, in its own time, a guest went without service over a blackout: what its watchdogs see."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from livemig.analysis.continuity import TB_BITS
from livemig.analysis.crossing import Crossing, Moment
from livemig.analysis.log import Event, Place
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.stretch import Stretch
from livemig.analysis.ticks import signed
from livemig.analysis.timebase import Timebase


class Unserved(Observer):
    """On every CPU, from the TB at which its DECR was to run out to the TB at which an interrupt came.

    A sleep that the guest itself had planned is not counted, however long; the jump of TB over the blackout is.
    """

    def __init__(self, crossing: Crossing, timebase: Timebase) -> None:
        self.ticks: int | None = None
        """The longest, of all CPUs and blackouts; None: the guest never stood still, or TB was not recorded."""
        self._crossing, self._timebase = crossing, timebase
        self._pauses = 0
        self._owed: dict[int, int] = {}
        """CPU → TB at which its interrupt is due, until one comes."""

    def handlers(self) -> Mapping[str, Handler]:
        return {"machine_resumed": self._resumed, "interrupt": self._interrupt}

    def _resumed(self, event: Event, place: Place) -> None:
        crossing = self._crossing
        stop, resume = crossing.stop, crossing.resume
        if len(crossing.pauses) == self._pauses or stop is None or resume is None:
            return
        self._pauses = len(crossing.pauses)
        if stop.tb is not None and resume.tb is not None:
            self._longest(signed(resume.tb - stop.tb, TB_BITS))
            self._owed = {cpu: stop.tb + decr for cpu, decr in _to_run(stop).items()}

    def _interrupt(self, event: Event, place: Place) -> None:
        if self._owed and event["cpu"] in self._owed and event["side"] == self._crossing.owner:
            due = self._owed.pop(event["cpu"])
            if event["tb"] is not None:
                self._longest(signed(event["tb"] - due, TB_BITS))

    def stretch(self, stretch: Stretch) -> None:
        for cpu in tuple(self._owed):
            came = np.flatnonzero((stretch.cpu == cpu) & ~stretch.armed)
            for event, place in stretch.events(came[:1].tolist()):
                self._interrupt(event, place)

    def _longest(self, ticks: int) -> None:
        self.ticks = max(self.ticks or 0, ticks)

    def close(self, end_ns: int) -> None:
        """What is still owed waits until ``end_ns``."""
        if (tb := self._timebase.at(end_ns)) is not None:
            for due in self._owed.values():
                self._longest(signed(tb - due, TB_BITS))


def _to_run(stop: Moment) -> dict[int, int]:
    """Ticks from the stop to each CPU's interrupt, where there is one to come: it counts down, or is raised."""
    raised = {cpu for cpu, _ in stop.raised()}
    counts = {cpu: decr for cpu, decr in enumerate(stop.decr or ()) if decr is not None}
    return {cpu: max(0, decr) for cpu, decr in counts.items() if decr >= 0 or cpu in raised}
