"""The migration: its status on each side, its passes, and the rates they measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from livemig.analysis.log import Event, Place
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.perfetto.tracks import Tracks
from livemig.analysis.perfetto.writer import Writer
from livemig.events.schema import EVENTS

_FINAL: Final = ("completed", "failed", "cancelled")
_COUNTERS: Final = {
    "dirty_pages": ("dirty pages", "pages"),
    "remaining": ("dirty memory", "bytes"),
    "rate": ("rate", "B/s"),
    "dirty_rate": ("dirty rate", "B/s"),
}


class Migration(Observer):
    """Follows it on both sides; what nobody else draws is an instant on its side."""

    def __init__(self, writer: Writer, tracks: Tracks, drawn: frozenset[str]) -> None:
        self._writer, self._tracks, self._drawn = writer, tracks, drawn
        self._status: dict[str, str] = {}
        self._passed: dict[str, int] = {}

    def handlers(self) -> Mapping[str, Handler]:
        others = EVENTS.keys() - self._drawn
        own: dict[str, Handler] = {"migration_state": self._state, "migration_pass": self._pass}
        return dict.fromkeys(others, self._other) | own

    def _state(self, event: Event, place: Place) -> None:
        side, now, status = event["side"], event["t_ns"], event["status"]
        track = self._tracks.below(self._tracks.side(side), "migration")
        if self._status.pop(side, None) is not None:
            self._writer.end(track, now, {})
        if status in _FINAL:
            self._writer.instant(track, now, status, {"reason": event["reason"]})
        else:
            self._status[side] = status
            self._writer.begin(track, now, status, {"reason": event["reason"]})

    def _pass(self, event: Event, place: Place) -> None:
        side, now = event["side"], event["t_ns"]
        process = self._tracks.side(side)
        track = self._tracks.below(process, "passes")
        began = max(now - event["duration_ns"], self._passed.get(side, 0))  # Rounded, it may reach into the one before.
        self._passed[side] = now
        self._writer.begin(track, began, f"pass {event['pass']}", _facts(event))
        self._writer.end(track, now, {})
        for key, (name, unit) in _COUNTERS.items():
            if event[key] is not None:
                self._writer.count(self._tracks.counter(process, name, unit), now, event[key])

    def _other(self, event: Event, place: Place) -> None:
        self._writer.instant(self._tracks.side(event["side"]), event["t_ns"], event["event"], _facts(event))


def _facts(event: Event) -> dict[str, object]:
    return {name: value for name, value in event.items() if name not in ("t_ns", "side", "event")}
