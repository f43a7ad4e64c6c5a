"""Darwin: "resets the decrementer value to fairly small values on each interrupt" (the thread, patch 4/4)."""

from __future__ import annotations

from typing import Any

import numpy as np

from livemig.guests.draws import draws
from livemig.guests.guest import TickGuest
from livemig.timers.ticks import NEVER

_BATCH = 1024


class Darwin(TickGuest):
    """Writes values drawn from ``low`` … ``high`` ticks: evenly, or ``skewed`` to the small ones.

    Skewed is the product of two even draws: most values are small, a few large, a quarter of the span on average.
    (An exponential would need a logarithm, whose last bit differs between machines.)
    """

    def __init__(
        self, seed: int, low: int, high: int, skewed: bool, arm_ticks: int, handler_ticks: int, boot_ticks: int
    ) -> None:
        super().__init__(arm_ticks, handler_ticks, boot_ticks)
        self._seed, self._low, self._high, self._skewed = seed, low, high, skewed
        self._drawn = 0
        self._ahead: list[int] = []  # drawn in one go, the next one last

    def step(self, tb: int, decr: int) -> tuple[int, int]:
        if not self._ahead:
            self._draw_ahead()
        return self._ahead.pop(), NEVER

    def _draw_ahead(self) -> None:
        raw = draws(self._seed, self._drawn, _BATCH)
        self._drawn += _BATCH
        share = raw >> np.uint64(32)
        if self._skewed:
            share = share * (raw & np.uint64(0xFFFFFFFF)) >> np.uint64(32)
        values = self._low + (share * np.uint64(self._high - self._low + 1) >> np.uint64(32)).astype(np.int64)
        self._ahead = values.tolist()
        self._ahead.reverse()

    def save(self) -> dict[str, Any]:
        return {"drawn": self._drawn - len(self._ahead)}

    def load(self, state: dict[str, Any]) -> None:
        self._drawn, self._ahead = state["drawn"], []
