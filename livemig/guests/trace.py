"""A real guest, replayed: the decrementer writes of one vCPU thread of a QEMU trace log.

``ppc_decr_store 32-bit OLD => NEW`` tells exactly, in ticks, when a write happened: DECR had counted down from the
value written before to OLD. OLD negative: the interrupt was taken and its handler came to the write -OLD ticks after
the underflow. OLD positive: something else made the guest write, ``last - OLD`` ticks after its last write. So the
replay waits for its interrupt where the real guest did, and takes the handler's real delay.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any

from livemig.guests.guest import Guest
from livemig.timers.ticks import NEVER, sign_extend


@dataclass(frozen=True, slots=True)
class Arm:
    """One write of DECR: ``value``, ``ticks`` after the interrupt (``by_interrupt``) or after the last write."""

    by_interrupt: bool
    ticks: int
    value: int


def arms_of(stores: Iterable[tuple[int, int]], bits: int = 32) -> list[Arm]:
    """The writes of one CPU from its (OLD, NEW) pairs, as logged, in order."""
    arms: list[Arm] = []
    last = None
    for old, new in stores:
        read = sign_extend(old, bits)
        if last is None or read < 0:
            arms.append(Arm(True, max(-read, 0), new))
        else:
            arms.append(Arm(False, max(last - read, 0), new))
        last = new
    return arms


class TraceGuest(Guest):
    """Replays ``arms``; with ``repeat`` from the start again after the last, else it waits for ever."""

    def __init__(self, arms: Sequence[Arm], repeat: bool, boot_ticks: int) -> None:
        self._arms, self._repeat, self._boot_ticks = arms, repeat, boot_ticks
        delays = [arm.ticks for arm in arms if arm.by_interrupt and arm.ticks]
        self._usual_delay = median_low(delays) if delays else 1
        self._next = 0

    def boot(self) -> int:
        return self._boot_ticks

    def interrupted(self, timer: int) -> tuple[int, int]:
        if self._next == len(self._arms):
            return NEVER, self._usual_delay
        arm = self._arms[self._next]
        # the first arm has no delay of its own; an interrupt the real guest did not have takes the usual one
        delay = arm.ticks if arm.by_interrupt and arm.ticks else self._usual_delay
        return delay, delay

    def step(self, tb: int, decr: int) -> tuple[int, int]:
        value = self._arms[self._next].value
        self._next += 1
        if self._next == len(self._arms) and self._repeat:
            self._next = 0
        if self._next == len(self._arms) or self._next == 0:
            return value, NEVER
        following = self._arms[self._next]
        return value, NEVER if following.by_interrupt else following.ticks

    @property
    def most(self) -> dict[str, Any]:
        return {"next": len(self._arms)}

    def save(self) -> dict[str, Any]:
        return {"next": self._next}

    def load(self, state: dict[str, Any]) -> None:
        self._next = state["next"]
