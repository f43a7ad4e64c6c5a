"""The guest as a whole: when it ran and where, its blackout, and how far its timebase is off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from livemig.analysis.crossing import Crossing
from livemig.analysis.log import Event, Place
from livemig.analysis.manifest import Manifest
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.perfetto.tracks import Tracks
from livemig.analysis.perfetto.writer import Writer
from livemig.analysis.ticks import error_ticks, signed
from livemig.analysis.timebase import WIDTH

_TIMER_EVENTS: Final = ("timer_armed", "interrupt", "interrupt_masked", "interrupt_coalesced")


class Guest(Observer):
    """A slice a side while it runs there, and one across for every pause; ``crossing`` must see every event first."""

    def __init__(self, writer: Writer, tracks: Tracks, crossing: Crossing) -> None:
        self._writer, self._tracks, self._crossing = writer, tracks, crossing
        self._running: set[str] = set()
        self._pauses = 0

    def handlers(self) -> Mapping[str, Handler]:
        return {"machine_resumed": self._resumed, "machine_stopped": self._stopped}

    def _resumed(self, event: Event, place: Place) -> None:
        side, now, crossing = event["side"], event["t_ns"], self._crossing
        if side not in self._running:
            self._running.add(side)
            self._writer.begin(self._track(side), now, "running", _facts(event))
        if len(crossing.pauses) > self._pauses and crossing.resume is not None:
            self._pauses = len(crossing.pauses)
            stopped, resumed = crossing.pauses[-1]
            crossed = crossing.crossed and crossing.crossings[-1][1] is crossing.resume
            track = self._tracks.below(None, "blackout")
            self._writer.begin(track, stopped, "blackout" if crossed else "pause", {"ns": resumed - stopped})
            self._writer.end(track, resumed, {})

    def _stopped(self, event: Event, place: Place) -> None:
        side = event["side"]
        if side in self._running:
            self._running.remove(side)
            self._writer.end(self._track(side), event["t_ns"], _facts(event))

    def _track(self, side: str) -> int:
        return self._tracks.below(self._tracks.side(side), "guest")


class TimebaseError(Observer):
    """A counter a CPU: by how many ticks the guest's TB is ahead (> 0) of one that kept to the run's policy.

    Written where it changes. The ideal goes with the world from the guest's first reading; under ``freeze`` it stands
    still while the guest is stopped.
    """

    def __init__(self, writer: Writer, tracks: Tracks, crossing: Crossing, manifest: Manifest) -> None:
        self._writer, self._tracks, self._crossing = writer, tracks, crossing
        self._hz, self._rule = manifest.machine.timebase_hz, manifest.rule
        self._first: tuple[int, int] | None = None
        self._error: dict[int, int] = {}

    def handlers(self) -> Mapping[str, Handler]:
        moments = ("machine_stopped", "machine_resumed")
        return dict.fromkeys(_TIMER_EVENTS, self._read) | dict.fromkeys(moments, self._read_all)

    def _read(self, event: Event, place: Place) -> None:
        if event["side"] == self._crossing.owner:
            self._see(event["cpu"], event["t_ns"], event["tb"])

    def _read_all(self, event: Event, place: Place) -> None:
        if event["side"] == self._crossing.owner:
            for cpu, tb in enumerate(event["cpu_tb"] or [event["tb"]]):
                self._see(cpu, event["t_ns"], tb)

    def _see(self, cpu: int, t_ns: int, tb: int | None) -> None:
        if tb is None:
            return
        guest_ns = t_ns - self._rule.behind_ns(self._crossing.pauses) - self._crossing.held_ns
        if self._first is None:
            self._first = guest_ns, tb
        began, from_tb = self._first
        error = error_ticks(signed(tb - from_tb, WIDTH), guest_ns - began, self._hz)
        if self._error.get(cpu) != error:
            self._error[cpu] = error
            parent = self._tracks.below(None, "TB error")
            self._writer.count(self._tracks.counter(parent, f"TB error, cpu {cpu}", "ticks"), t_ns, error)


def _facts(event: Event) -> dict[str, object]:
    return {name: event[name] for name in ("state", "tb", "decr", "pending", "ram_digest")}
