"""Whether the timebase kept to the world while the guest was throttled."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from livemig.analysis.crossing import Crossing
from livemig.analysis.log import Event, Place
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.stretch import Stretch
from livemig.analysis.ticks import NS_PER_S, error_ticks, signed
from livemig.analysis.verdict import Evidence

_WIDTH = 64


class Throttled(Observer):
    """From where throttling begins until it ends or the guest stops, every TB that is read is held against the world.

    Attributes:
        stretches, total_ns: how often, and for how long, the guest was throttled.
        readings: of TB in them.
        worst: the largest error in ticks, and where; None: nothing was read.
    """

    def __init__(self, hz: int, crossing: Crossing) -> None:
        self.stretches = self.total_ns = self.readings = 0
        self.worst: tuple[int, Evidence] | None = None
        self._hz, self._crossing = hz, crossing
        self._base: tuple[int, int] | None = None

    def handlers(self) -> Mapping[str, Handler]:
        names = ("timer_armed", "interrupt", "interrupt_masked", "interrupt_coalesced")
        return {
            **dict.fromkeys(names, self._read),
            "cpu_throttled": self._throttle,
            "machine_stopped": self._stopped,
        }

    def _throttle(self, event: Event, place: Place) -> None:
        self._read(event, place)
        if event["cause"] == "end":
            self._end(event["t_ns"])
        elif self._base is None:
            self._base = event["t_ns"], event["tb"]
            self.stretches += 1

    def _stopped(self, event: Event, place: Place) -> None:
        self._read(event, place)
        self._end(event["t_ns"])

    def _end(self, t_ns: int) -> None:
        if self._base is not None:
            self.total_ns += t_ns - self._base[0]
            self._base = None

    def _read(self, event: Event, place: Place) -> None:
        if self._base is None or event["side"] != self._crossing.owner or event["tb"] is None:
            return
        began, tb = self._base
        for read in event.get("cpu_tb") or [event["tb"]]:
            error = error_ticks(signed(read - tb, _WIDTH), event["t_ns"] - began, self._hz)
            self._note(error, Evidence(*place, event["t_ns"]))

    def _note(self, error: int, seen: Evidence) -> None:
        self.readings += 1
        if self.worst is None or abs(error) > abs(self.worst[0]):
            self.worst = error, seen

    def stretch(self, stretch: Stretch) -> None:
        """Only the reading that is furthest off is looked at by itself."""
        if self._base is None or stretch.side != self._crossing.owner:
            return
        began, tb = self._base
        moved = (stretch.tb.astype(np.uint64) - np.uint64(tb)).view(np.int64)
        seconds, rest = np.divmod(stretch.t_ns.astype(np.int64) - began, NS_PER_S)
        ticks, part = np.divmod(rest * self._hz, NS_PER_S)
        off = moved - seconds * self._hz - ticks
        error = np.where(off < 0, -off, np.maximum(off - (part > 0), 0))  # as `error_ticks` has it
        self._read(*stretch.event(int(error.argmax())))
        self.readings += len(stretch) - 1
