"""What the machine and the migration went through: pauses, passes, states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from livemig.analysis.crossing import Crossing
from livemig.analysis.log import Event, Place
from livemig.analysis.observer import Handler, Observer
from livemig.events.schema import SOURCE

PASS_KEYS = (
    "pass", "dirty_pages", "zero_pages", "bytes", "rate", "remaining", "dirty_rate", "duration_ns", "encoded_pages",
    "skipped_pages", "downtime_limit_ns", "expected_downtime_ns",
)  # fmt: skip


class Phases(Observer):
    """Collects them; ``turned`` is called at every stop and resume of the guest."""

    def __init__(self, crossing: Crossing, turned: Callable[[], None]) -> None:
        self.passes: list[dict[str, Any]] = []
        self.states: list[dict[str, Any]] = []
        self.pauses: list[dict[str, Any]] = []
        """Each from a stop to the resume that followed; ``resume_ns`` is None if none did."""
        self._crossing, self._turned = crossing, turned

    def handlers(self) -> Mapping[str, Handler]:
        return {
            "machine_stopped": self._stopped,
            "machine_resumed": self._resumed,
            "migration_pass": self._pass,
            "migration_state": self._state,
        }

    def _stopped(self, event: Event, place: Place) -> None:
        if event["side"] == self._crossing.owner and (not self.pauses or self.pauses[-1]["resume_ns"] is not None):
            self.pauses.append({"stop_ns": event["t_ns"], "from": event["side"], "resume_ns": None, "to": None})
            self._turned()

    def _resumed(self, event: Event, place: Place) -> None:
        if self.pauses and self.pauses[-1]["resume_ns"] is None:
            self.pauses[-1] |= {"resume_ns": event["t_ns"], "to": event["side"]}
            self._turned()

    def _pass(self, event: Event, place: Place) -> None:
        if event["side"] == SOURCE:
            self.passes.append({"t_ns": event["t_ns"]} | {key: event.get(key, 0) for key in PASS_KEYS})

    def _state(self, event: Event, place: Place) -> None:
        self.states.append({"t_ns": event["t_ns"], "side": event["side"], "status": event["status"]})
