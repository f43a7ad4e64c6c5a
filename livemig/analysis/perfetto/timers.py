"""Armed timers as slices, interrupts as instants, and the arms that cross as flows.

A timer is a track below its CPU: a slice from the arm to the interrupt, or to whatever ends it instead. An interrupt
that waits for the guest is a slice on a second track, for the timer may be armed again meanwhile. An arm that crosses
is a slice on either side; a flow leads from the one to the other, and on to the interrupt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from livemig.analysis.crossing import Crossing
from livemig.analysis.log import Event, Place
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.perfetto.tracks import Tracks
from livemig.analysis.perfetto.writer import Writer

_Stage = Literal["armed", "waiting"]
_Key = tuple[int, str, _Stage]
"""CPU, timer, and whether it counts or waits for the guest."""

_STAGES: Final[tuple[_Stage, ...]] = ("waiting", "armed")
"""Of two that are open an interrupt answers the first."""
_ARM: Final = ("value", "tb", "deadline_ns", "cause")
_INTERRUPT: Final = ("late_ns", "tb", "decr", "deadline_ns")


class Timers(Observer):
    """``crossing`` must see every event first."""

    def __init__(self, writer: Writer, tracks: Tracks, crossing: Crossing) -> None:
        self._writer, self._tracks, self._crossing = writer, tracks, crossing
        self._open: dict[str, dict[_Key, int]] = {}
        """By side the open slices, with their flows; 0: none."""
        self._gone: dict[_Key, int] = {}
        """Flows of what was open on the side that the guest left."""
        self._flows = 0

    def handlers(self) -> Mapping[str, Handler]:
        return {
            "timer_armed": self._armed,
            "interrupt": self._interrupt,
            "interrupt_masked": self._masked,
            "interrupt_coalesced": self._coalesced,
            "machine_resumed": self._resumed,
        }

    def _armed(self, event: Event, place: Place) -> None:
        side, now, cause = event["side"], event["t_ns"], event["cause"]
        key: _Key = (event["cpu"], event["timer"], "armed")
        if cause == "reset" and side != self._crossing.owner:
            return  # It has no guest yet.
        self._end(side, key, now, "superseded")
        if cause == "restore":
            self._leave(side, key, now)
        flow = self._gone.pop(key, 0)
        if event["deadline_ns"] is not None:
            self._begin(event, place, key, _ARM, flow if cause == "restore" else 0)

    def _interrupt(self, event: Event, place: Place) -> None:
        side, now, timer = event["side"], event["t_ns"], event["timer"]
        flow = 0
        for stage in _STAGES:
            key: _Key = (event["cpu"], timer, stage)
            ended = self._end(side, key, now, "delivered")
            flow = ended or self._gone.pop(key, 0)
            if flow or ended is not None:
                break
        cpu = self._tracks.cpu(side, event["cpu"])
        self._writer.instant(cpu, now, f"{timer} interrupt", _args(event, place, _INTERRUPT), flow)

    def _masked(self, event: Event, place: Place) -> None:
        side, cpu, timer = event["side"], event["cpu"], event["timer"]
        waiting: _Key = (cpu, timer, "waiting")
        flow = self._end(side, (cpu, timer, "armed"), event["t_ns"], "raised")
        if waiting not in self._open.get(side, {}):
            self._begin(event, place, waiting, (*_INTERRUPT, "reason"), flow or self._gone.pop(waiting, 0))

    def _coalesced(self, event: Event, place: Place) -> None:
        self._end(event["side"], (event["cpu"], event["timer"], "armed"), event["t_ns"], "coalesced")

    def _resumed(self, event: Event, place: Place) -> None:
        """Whatever another side still had open is not the guest's any more."""
        for side, keys in self._open.items():
            if side != event["side"]:
                for key in list(keys):
                    self._leave(event["side"], key, event["t_ns"])

    def _leave(self, side: str, key: _Key, now: int) -> None:
        """``key`` is ``side``'s now: if another side has it open, it ends there and its flow begins."""
        for other in self._open:
            if other != side and key in self._open[other]:
                self._flows += 1
                self._end(other, key, now, "crossed", self._flows)
                self._gone[key] = self._flows

    def _begin(self, event: Event, place: Place, key: _Key, names: tuple[str, ...], flow: int) -> None:
        side, (_, timer, stage) = event["side"], key
        self._open.setdefault(side, {})[key] = flow
        self._writer.begin(self._track(side, key), event["t_ns"], f"{timer} {stage}", _args(event, place, names), flow)

    def _end(self, side: str, key: _Key, now: int, how: str, flow: int = 0) -> int | None:
        """End the slice of ``key``; gives its flow, or None if there is none open."""
        began = self._open.get(side, {}).pop(key, None)
        if began is not None:
            self._writer.end(self._track(side, key), now, {"end": how}, flow)
        return began

    def _track(self, side: str, key: _Key) -> int:
        cpu, timer, stage = key
        return self._tracks.below(self._tracks.cpu(side, cpu), timer if stage == "armed" else f"{timer} waiting")


def _args(event: Event, place: Place, names: tuple[str, ...]) -> dict[str, object]:
    return {name: event[name] for name in names} | {"at": f"{place[0]}:{place[1]}"}
