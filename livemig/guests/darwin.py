"""Darwin: "resets the decrementer value to fairly small values on each interrupt" (the thread, patch 4/4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from livemig.guests.draws import MOST_DRAWS, Stream
from livemig.guests.guest import TickGuest
from livemig.timers.ticks import NEVER


class Darwin(TickGuest):
    """Writes values drawn from ``low`` … ``high`` ticks: evenly, or ``skewed`` to the small ones.

    Skewed is the product of two even draws: most values are small, a few large, a quarter of the span on average.
    (An exponential would need a logarithm, whose last bit differs between machines.)
    """

    def __init__(
        self, seed: int, low: int, high: int, skewed: bool, arm_ticks: int, handler_ticks: int, boot_ticks: int
    ) -> None:
        super().__init__(arm_ticks, handler_ticks, boot_ticks)
        self._low, self._high, self._skewed = low, high, skewed
        self._values = Stream(seed, self._spread)
        self.typical = low + (high - low) // (4 if skewed else 2)

    def step(self, tb: int, decr: int) -> tuple[int, int]:
        return self._values.take(), NEVER

    def ahead(self, count: int) -> NDArray[np.int64] | None:
        return self._values.peek(count)

    def taken(self, count: int) -> None:
        self._values.position += count

    def _spread(self, drawn: NDArray[np.uint64]) -> NDArray[np.int64]:
        share = drawn >> np.uint64(32)
        if self._skewed:
            share = share * (drawn & np.uint64(0xFFFFFFFF)) >> np.uint64(32)
        return self._low + (share * np.uint64(self._high - self._low + 1) >> np.uint64(32)).astype(np.int64)

    @property
    def most(self) -> dict[str, Any]:
        return {"drawn": MOST_DRAWS}

    def save(self) -> dict[str, Any]:
        return {"drawn": self._values.position}

    def load(self, state: dict[str, Any]) -> None:
        self._values.position = state["drawn"]
