"""Linux, tickless: ``arch/powerpc/kernel/time.c`` ``timer_interrupt``.

The handler first writes the largest value, so that a level decrementer is quiet while it works, then looks whether
its next event has come, and writes the ticks to the next one. An idle CPU skips the ticks it does not need: its next
event is far, and where that is further than the largest value, it is woken on the way and writes what is left.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from livemig.guests.draws import MOST_DRAWS, Stream
from livemig.guests.guest import TickGuest
from livemig.timers.ticks import MASK64, NEVER

_LONGEST_IDLE = 64
"""Scheduler ticks that an idle CPU sleeps over, at most one less."""


class Linux(TickGuest):
    """Args: ``tick`` between scheduler ticks; ``idle_per_mille``: how often it goes idle;
    ``longest``: the largest value it writes (0x7fffffff); all times in ticks of the timebase."""

    def __init__(
        self,
        seed: int,
        tick: int,
        idle_per_mille: int,
        longest: int,
        arm_ticks: int,
        handler_ticks: int,
        boot_ticks: int,
    ) -> None:
        super().__init__(max(handler_ticks, arm_ticks), handler_ticks, boot_ticks)
        self.entry = (arm_ticks, longest)
        self._tick, self._longest = tick, longest
        self._next_tb = 0
        self._idle_ticks = Stream(seed, lambda drawn: _idle_ticks(drawn, idle_per_mille))

    def step(self, tb: int, decr: int) -> tuple[int, int]:
        if tb < self._next_tb:
            return min(self._next_tb - tb, self._longest), NEVER
        # ticks gone by are not made up: it catches up
        following = (tb // self._tick + 1 + self._idle_ticks.take()) * self._tick
        self._next_tb = following & MASK64
        return min(following - tb, self._longest), NEVER

    @property
    def most(self) -> dict[str, Any]:
        return {"next_tb": MASK64 + (_LONGEST_IDLE + 1) * self._tick, "drawn": MOST_DRAWS}

    def save(self) -> dict[str, Any]:
        return {"next_tb": self._next_tb, "drawn": self._idle_ticks.position}

    def load(self, state: dict[str, Any]) -> None:
        self._next_tb, self._idle_ticks.position = state["next_tb"], state["drawn"]


def _idle_ticks(drawn: NDArray[np.uint64], per_mille: int) -> NDArray[np.int64]:
    """How many ticks the CPU sleeps over; 0 where it does not go idle."""
    ticks = (drawn // np.uint64(1000) % np.uint64(_LONGEST_IDLE)).astype(np.int64)
    return np.where(drawn % np.uint64(1000) < np.uint64(per_mille), ticks, 0)
