"""The guest's timebase over the whole history: where it fell, where it began and where it ended."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from livemig.analysis.crossing import Crossing
from livemig.analysis.log import Event, Place
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.stretch import Stretch
from livemig.analysis.ticks import NS_PER_S, error_ticks, signed, to_ns
from livemig.analysis.verdict import EVIDENCE_LIMIT, Evidence

WIDTH = 64


class Timebase(Observer):
    """Reads ``tb`` from every event of the side that owns the guest. ``unsure``: ticks that a reading may be off."""

    def __init__(self, hz: int, crossing: Crossing, unsure: int = 0) -> None:
        self.readings = 0
        self.falls: list[tuple[int, Evidence]] = []
        """The first few: by how many ticks, and where."""
        self.fallen = 0
        self._hz, self._crossing, self._unsure = hz, crossing, unsure
        self._first: tuple[int, int] | None = None
        self._t_ns = 0
        self._tb = 0

    def handlers(self) -> Mapping[str, Handler]:
        names = ("timer_armed", "interrupt", "interrupt_masked", "interrupt_coalesced")
        return dict.fromkeys((*names, "machine_stopped", "machine_resumed"), self._read)

    def _read(self, event: Event, place: Place) -> None:
        tb = event["tb"]
        if tb is None or event["side"] != self._crossing.owner:
            return
        if self._first is None:
            self._first = event["t_ns"], tb
        elif tb < self._tb and (fall := -signed(tb - self._tb, WIDTH)) > self._unsure:
            self.fallen += 1
            if len(self.falls) < EVIDENCE_LIMIT:
                self.falls.append((fall, Evidence(*place, event["t_ns"])))
        self.readings += 1
        self._tb, self._t_ns = tb, event["t_ns"]

    def stretch(self, stretch: Stretch) -> None:
        """Only the first reading, and those below the one before, can tell more than that they were read."""
        if stretch.side != self._crossing.owner:
            return
        t_ns, tb = stretch.t_ns, stretch.tb
        fallen = (np.flatnonzero(tb[1:] < tb[:-1]) + 1).tolist()
        for row in (0, *fallen):
            if row:
                self._tb = int(tb[row - 1])
            self._read(*stretch.event(row))
        self.readings += len(stretch) - 1 - len(fallen)
        self._tb, self._t_ns = int(tb[-1]), int(t_ns[-1])

    def at(self, t_ns: int) -> int | None:
        """TB at ``t_ns``, if it ran on from the last reading; None: nothing was read."""
        if self._first is None:
            return None
        return self._tb + max(0, t_ns - self._t_ns) * self._hz // NS_PER_S

    def behind_ns(self) -> int | None:
        """How far the guest's last reading is behind a timebase that went with the world from the first one.

        Negative: ahead. 0 where it is exact but for the rounding of a reading. None: nothing was read.
        """
        if self._first is None:
            return None
        t_ns, tb = self._first
        moved = signed(self._tb - tb, WIDTH)
        return -to_ns(error_ticks(moved, self._t_ns - t_ns, self._hz), self._hz)
