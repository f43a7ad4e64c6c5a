"""Guest time against the world's over the run: where the difference changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from livemig.analysis.crossing import Crossing
from livemig.analysis.log import Event, Place
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.ticks import error_ticks, signed
from livemig.analysis.timebase import WIDTH

Point = tuple[int, int]
"""``t_ns`` and by how many ticks the guest's TB is ahead (> 0) or behind (< 0)."""

LIMIT: Final = 4000


class Drift(Observer):
    """The error of the guest's TB against one that went with the world from its first reading.

    Only the two ends of every stretch without a change are kept; where it changes more than `LIMIT` times, every
    other point is dropped, but never those next to a stop or a resume.
    """

    def __init__(self, hz: int, crossing: Crossing) -> None:
        self.points: list[Point] = []
        self._hz, self._crossing = hz, crossing
        self._first: Point | None = None
        self._last: Point | None = None
        self._fixed: set[Point] = set()

    def handlers(self) -> Mapping[str, Handler]:
        names = ("timer_armed", "interrupt", "interrupt_masked", "interrupt_coalesced")
        return dict.fromkeys(names, self._read) | dict.fromkeys(("machine_stopped", "machine_resumed"), self._turn)

    def _read(self, event: Event, place: Place) -> None:
        if event["side"] == self._crossing.owner:
            self._see(event["t_ns"], event["tb"])

    def _turn(self, event: Event, place: Place) -> None:
        if event["side"] == self._crossing.owner:
            point = self._see(event["t_ns"], event["tb"])
            self._fixed.add(point)
            self._add(point)

    def _see(self, t_ns: int, tb: int) -> Point:
        if self._first is None:
            self._first = t_ns, tb
        began, from_tb = self._first
        point = t_ns, error_ticks(signed(tb - from_tb, WIDTH), t_ns - began, self._hz)
        if self._last is None or point[1] != self._last[1]:
            if self._last is not None:
                self._add(self._last)
            self._add(point)
        self._last = point
        return point

    def _add(self, point: Point) -> None:
        if not self.points or self.points[-1] != point:
            self.points.append(point)
        if len(self.points) > LIMIT:
            self.points = [seen for at, seen in enumerate(self.points) if at % 2 == 0 or seen in self._fixed]

    def close(self, end_ns: int) -> None:
        """The last reading ends the line."""
        if self._last is not None:
            self._add(self._last)
