"""What the strategy says of itself: by how much its TB may be wrong."""

from __future__ import annotations

from collections.abc import Mapping

from livemig.analysis.log import Event, Place
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.verdict import Evidence


class StatedBound(Observer):
    """``bound_ns`` of every state that was saved with one (a negative one is none), and where."""

    def __init__(self) -> None:
        self._stated: list[tuple[int, Evidence]] = []

    def handlers(self) -> Mapping[str, Handler]:
        return {"state_saved": self._saved}

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return bool(self._stated)

    def at(self, stop_ns: int) -> tuple[int, Evidence] | None:
        """Of the state that was saved at ``stop_ns``."""
        return next((stated for stated in self._stated if stated[1].t_ns == stop_ns), None)

    def _saved(self, event: Event, place: Place) -> None:
        bound = event["saved"].get("bound_ns")
        if isinstance(bound, int) and bound >= 0:
            self._stated.append((bound, Evidence(*place, event["t_ns"])))
