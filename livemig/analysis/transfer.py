"""What the migration itself reports: its state, its passes, its bytes."""

from __future__ import annotations

from collections.abc import Mapping

from livemig.analysis.crossing import Crossing
from livemig.analysis.log import Event, Place
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.verdict import Evidence
from livemig.events.schema import SOURCE

_FINAL = ("completed", "failed", "cancelled")


class Transfer(Observer):
    """Follows the sending side."""

    def __init__(self, crossing: Crossing) -> None:
        self.status: str | None = None
        self.reason: str | None = None
        self.passes = 0
        self.octets = 0
        self.total_ns: int | None = None
        """From setup to its end, over all hops; None: no migration has ended."""
        self.last_pass_ns: list[int] = []
        """By hop: how long the passes took that ended while the guest stood still before it crossed."""
        self.machine_version: int | None = None
        """Form of the state that was sent."""
        self.lost: list[str] = []
        """What that form has no place for, of what there was to send."""
        self.switchovers: list[tuple[int, int, int] | None] = []
        """By hop: when it was sent, when it arrived, and when the guest was to go on, in ns; None: not recorded."""
        self.trips_ns: list[int] = []
        """By hop: how long the state was on its way there, and ``switchover`` after it; 0 where it was not recorded."""
        self.link_faults: list[str] = []
        """Of the configuration, that acted on a frame."""
        self.intruders: list[Evidence] = []
        """Where a second source was let in."""
        self.postcopy = False
        """The guest crossed before its pages."""
        self._crossing = crossing
        self._sender = SOURCE
        self._began_ns: int | None = None
        self._standing_ns = 0
        self._switchover: tuple[int, int, int] | None = None
        self._memory_sent_ns: int | None = None
        self._state_arrived_ns: int | None = None

    def handlers(self) -> Mapping[str, Handler]:
        return {
            "migration_pass": self._pass,
            "migration_state": self._state,
            "state_saved": self._saved,
            "switchover": self._switched,
            "machine_stopped": self._stopped,
            "machine_resumed": self._resumed,
            "fault_injected": self._fault,
            "second_source": self._second_source,
        }

    def _second_source(self, event: Event, place: Place) -> None:
        if event["answer"] == "welcome":
            self.intruders.append(Evidence(*place, event["t_ns"]))

    def _fault(self, event: Event, place: Place) -> None:
        if event.get("on"):
            self.link_faults.append(str(event.get("fault")))

    def _switched(self, event: Event, place: Place) -> None:
        if event["side"] != self._sender and self._switchover is None:
            self._switchover = event["sent_ns"], event["t_ns"], event["resume_ns"]

    def _stopped(self, event: Event, place: Place) -> None:
        self._memory_sent_ns = event["t_ns"]

    def _pass(self, event: Event, place: Place) -> None:
        if event["side"] != self._sender:
            return
        self.passes += 1
        self.octets += event["bytes"]
        if self._crossing.running is None:
            self._standing_ns += event["duration_ns"]
            self._memory_sent_ns = event["t_ns"]

    def _saved(self, event: Event, place: Place) -> None:
        self.machine_version = event.get("machine_version")
        self.lost += [name for name in event.get("lost") or () if name not in self.lost]

    def _resumed(self, event: Event, place: Place) -> None:
        if len(self._crossing.crossings) > len(self.last_pass_ns):
            self.last_pass_ns.append(self._standing_ns)
            self.switchovers.append(self._switchover)
            self.trips_ns.append(self._trips_ns())
        if self._crossing.running is not None:
            self._standing_ns, self._switchover = 0, None
            self._memory_sent_ns = self._state_arrived_ns = None

    def _trips_ns(self) -> int:
        if self._switchover is None or self._memory_sent_ns is None or self._state_arrived_ns is None:
            return 0
        sent_ns, arrived_ns, _ = self._switchover
        return self._state_arrived_ns - self._memory_sent_ns + arrived_ns - sent_ns

    def _state(self, event: Event, place: Place) -> None:
        if event["status"] == "setup" and event["side"] == self._crossing.owner:
            self._sender, self._began_ns = event["side"], event["t_ns"]
        if event["side"] == self._sender:
            self.status, self.reason = event["status"], event["reason"]
            if event["status"] in _FINAL and self._began_ns is not None:
                self.total_ns = (self.total_ns or 0) + event["t_ns"] - self._began_ns
                self._began_ns = None
            self.postcopy |= event["status"] == "postcopy-active"
        elif event["status"] == "device":
            self._state_arrived_ns = event["t_ns"]
