"""A guest: one CPU's operating system, as far as its timers go."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class Guest(ABC):
    """Decides what is written into DECR, and when, in ticks of the timebase.

    A *step* is an instant at which the guest reads TB and DECR and writes DECR. At most one is outstanding.
    The guest's own state is small integers, so that it crosses in the snapshot (``save``, ``load``).
    """

    entry: tuple[int, int] | None = None
    """What a handler writes before its step, if anything: ticks after delivery, value."""

    @abstractmethod
    def boot(self) -> int:
        """Ticks from power-on to the first step."""

    @abstractmethod
    def interrupted(self) -> tuple[int, int]:
        """An interrupt is delivered: ticks until the handler's step, and until it lets interrupts in."""

    @abstractmethod
    def step(self, tb: int, decr: int) -> tuple[int, int]:
        """Reads ``tb`` and ``decr`` (signed); gives the value to write, and the ticks to its next step or NEVER."""

    @abstractmethod
    def save(self) -> dict[str, Any]:
        """What must cross for it to go on elsewhere."""

    @abstractmethod
    def load(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`save` gave."""


class TickGuest(Guest):
    """A guest whose every handler makes its step ``arm_ticks`` after delivery and takes ``handler_ticks`` in all.

    ``memoryless``: what it writes depends on ``decr`` alone. A CPU that runs such a guest knows all its interrupts
    up to a barrier in closed form.
    """

    memoryless = False

    def __init__(self, arm_ticks: int, handler_ticks: int, boot_ticks: int = 0) -> None:
        self.arm_ticks = arm_ticks
        self.handler_ticks = max(handler_ticks, arm_ticks)
        self._boot_ticks = boot_ticks

    def boot(self) -> int:
        return self._boot_ticks

    def interrupted(self) -> tuple[int, int]:
        return self.arm_ticks, self.handler_ticks
