"""What precopy did so that the guest's memory would fit: what it did not send in full, and how it slowed the guest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from livemig.analysis.crossing import Crossing
from livemig.analysis.log import Event, Place
from livemig.analysis.observer import Handler, Observer


class Precopy(Observer):
    """Over all hops, as the sending sides say.

    Attributes:
        zero_pages: sent as zeros. encoded_pages: as deltas or compressed. skipped_pages: dirty and unchanged, not sent.
        first_limit_ns, limit_ns: the downtime limit in force after the first pass, and when the guest was last stopped.
        expected_ns: the downtime expected then; None: no pass had ended.
        throttles: each time that the guest was slowed down: `t_ns`, `cause`, `percentage`, `write_rate` (B/s).
    """

    def __init__(self, crossing: Crossing) -> None:
        self.zero_pages = self.encoded_pages = self.skipped_pages = 0
        self.first_limit_ns: int | None = None
        self.limit_ns: int | None = None
        self.expected_ns: int | None = None
        self.throttles: list[dict[str, Any]] = []
        self._crossing = crossing

    def handlers(self) -> Mapping[str, Handler]:
        return {"migration_pass": self._pass, "cpu_throttled": self._throttled}

    def _pass(self, event: Event, place: Place) -> None:
        self.zero_pages += event["zero_pages"]
        self.encoded_pages += event.get("encoded_pages") or 0
        self.skipped_pages += event.get("skipped_pages") or 0
        limit_ns = event.get("downtime_limit_ns")
        if self.first_limit_ns is None:
            self.first_limit_ns = limit_ns
        if self._crossing.running is not None or self.limit_ns is None:
            self.limit_ns, self.expected_ns = limit_ns, event.get("expected_downtime_ns")

    def _throttled(self, event: Event, place: Place) -> None:
        if event["cause"] != "end":
            self.throttles.append({key: event[key] for key in ("t_ns", "cause", "percentage", "write_rate")})

    def as_dict(self, throttled_ns: int) -> dict[str, Any] | None:
        """For the result; None: no pass was logged. ``throttled_ns``: for how long, all in all."""
        if self.first_limit_ns is None:
            return None
        return {
            "zero_pages": self.zero_pages,
            "encoded_pages": self.encoded_pages,
            "skipped_pages": self.skipped_pages,
            "first_limit_ns": self.first_limit_ns,
            "limit_ns": self.limit_ns,
            "expected_downtime_ns": self.expected_ns,
            "throttled_ns": throttled_ns,
            "throttles": self.throttles,
        }
