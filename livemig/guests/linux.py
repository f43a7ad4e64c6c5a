"""Linux, tickless: ``arch/powerpc/kernel/time.c`` ``timer_interrupt``.

The handler first writes the largest value, so that a level decrementer is quiet while it works, then looks whether
its next event has come, and writes the ticks to the next one. An idle CPU has none: it writes the largest value and
is woken by something else.
"""

from __future__ import annotations

from typing import Any

from livemig.guests.draws import draw
from livemig.guests.guest import TickGuest
from livemig.timers.ticks import NEVER

_LONGEST_IDLE = 64
"""Ticks of the scheduler after which another interrupt has woken an idle CPU, at most."""


class Linux(TickGuest):
    """Args: ``tick`` between scheduler ticks; ``idle_per_mille``: how often it goes idle after one;
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
        self._seed, self._tick, self._idle, self._longest = seed, tick, idle_per_mille, longest
        self._next_tb = 0
        self._drawn = 0

    def step(self, tb: int, decr: int) -> tuple[int, int]:
        if tb < self._next_tb:
            return min(self._next_tb - tb, self._longest), NEVER
        self._next_tb = (tb // self._tick + 1) * self._tick  # ticks gone by are not made up: it catches up
        drawn = draw(self._seed, self._drawn)
        self._drawn += 1
        if drawn % 1000 >= self._idle:
            return min(self._next_tb - tb, self._longest), NEVER
        self._next_tb += self._tick * (drawn // 1000 % _LONGEST_IDLE)
        return self._longest, self._next_tb - tb

    def save(self) -> dict[str, Any]:
        return {"next_tb": self._next_tb, "drawn": self._drawn}

    def load(self, state: dict[str, Any]) -> None:
        self._next_tb, self._drawn = state["next_tb"], state["drawn"]
