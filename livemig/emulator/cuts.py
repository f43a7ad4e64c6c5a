"""When the link between the two sides breaks, by the scenario's wish."""

from __future__ import annotations

from collections.abc import Sequence


class Cuts:
    """``next``: the instant of the next one; None if there is none. ``peer_is_there``: it has come to it."""

    def __init__(self, instants: Sequence[int]) -> None:
        self._to_come = sorted(instants)
        self.peer_is_there = False

    @property
    def next(self) -> int | None:
        return self._to_come[0] if self._to_come else None

    def pass_by(self) -> None:
        """The next one has come."""
        self._to_come.pop(0)
        self.peer_is_there = False
