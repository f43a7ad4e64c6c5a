"""A periodic tick: one interrupt every ``period`` ticks, drift-free or drifting."""

from __future__ import annotations

from typing import Any

from livemig.guests.guest import TickGuest
from livemig.timers.ticks import NEVER


class Periodic(TickGuest):
    """Drift-free: reads how late it is from DECR and writes what is left of the period, skipping periods that have
    gone by, as a tick handler that catches up does. Drifting: writes the whole period, always."""

    memoryless = True

    def __init__(self, period: int, drift_free: bool, arm_ticks: int, handler_ticks: int, boot_ticks: int) -> None:
        super().__init__(arm_ticks, handler_ticks, boot_ticks)
        self._period, self._drift_free = period, drift_free
        self._booting = False

    def boot(self) -> int:
        self._booting = True
        return super().boot()

    def step(self, tb: int, decr: int) -> tuple[int, int]:
        booting, self._booting = self._booting, False
        if booting or not self._drift_free or decr >= 0:  # at boot DECR reads the machine's start-up value
            return self._period, NEVER
        return (self._period + decr) % self._period or self._period, NEVER

    def save(self) -> dict[str, Any]:
        return {"booting": self._booting}

    def load(self, state: dict[str, Any]) -> None:
        self._booting = state["booting"]
