"""What the strategy says of itself: by how much its TB may be wrong."""

from __future__ import annotations

from collections.abc import Mapping

from livemig.analysis.log import Event, Place
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.verdict import Evidence


class StatedBound(Observer):
    """``bound_ns`` of the last state that was saved; None where none is stated (a negative one is none)."""

    def __init__(self) -> None:
        self.bound_ns: int | None = None
        self.seen: Evidence | None = None

    def handlers(self) -> Mapping[str, Handler]:
        return {"state_saved": self._saved}

    def _saved(self, event: Event, place: Place) -> None:
        bound = event["saved"].get("bound_ns")
        if isinstance(bound, int) and bound >= 0:
            self.bound_ns, self.seen = bound, Evidence(*place, event["t_ns"])
