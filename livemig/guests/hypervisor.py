"""A hypervisor: it takes the hypervisor decrementer for its slices, and lets a guest have the decrementer.

What KVM does on a machine with a hypervisor mode of its own (``arch/powerpc/kvm/book3s_hv.c``: HDEC ends a slice), and
what an idle thread does there: it naps, and in a nap exceptions of HDECR are not kept (QEMU ``resume_as_sreset``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from livemig.guests.guest import MOST, Guest, Read, Write
from livemig.timers.ticks import NEVER

DECR, HDECR = range(2)


class Hypervisor(Guest):
    """Args: ``inner``: who has the decrementer. ``slice_ticks``: of HDECR; each handler counts them on from the last
    deadline. ``nap_every``: ticks of TB from nap to nap, which the next decrementer interrupt ends; 0: no naps. TB
    decides, so that a guest that was migrated naps when its twin does."""

    def __init__(self, inner: Guest, slice_ticks: int, nap_every: int, arm_ticks: int, handler_ticks: int) -> None:
        self.entry = inner.entry
        self._inner, self._slice, self._nap_every = inner, slice_ticks, nap_every
        self._arm_ticks, self._handler_ticks = arm_ticks, max(handler_ticks, arm_ticks)
        self._booting = self._naps = False
        self._last_tb = 0

    def boot(self) -> int:
        self._booting = True
        return self._inner.boot()

    def interrupted(self, timer: int) -> tuple[int, int]:
        return self._inner.interrupted(timer) if timer == DECR else (self._arm_ticks, self._handler_ticks)

    def act(self, timer: int, tb: int, read: Read) -> tuple[Sequence[Write], int]:
        if timer == HDECR:
            return (("hdecr", self._left(read)),), NEVER
        writes, following = self._inner.act(DECR, tb, read)
        if self._booting:
            self._booting = False
            return (*writes, ("hdecr", self._slice)), following
        if not self._nap_every:
            return writes, following
        woken, self._naps = self._naps, tb // self._nap_every != self._last_tb // self._nap_every
        self._last_tb = tb
        wakes: tuple[Write, ...] = ()
        if woken:
            wakes = (("nap", 0),)
            if read("hdecr") < 0:  # it ran out in the nap, and nobody was told
                wakes += (("hdecr", self._left(read)),)
        return (*wakes, *writes, *((("nap", 1),) if self._naps else ())), following

    def _left(self, read: Read) -> int:
        """What is left of a slice, since the last one was over; slices gone by are not made up."""
        return (read("hdecr") % self._slice) or self._slice

    @property
    def most(self) -> dict[str, Any]:
        return {"booting": True, "naps": True, "last_tb": MOST, "inner": self._inner.most}

    def save(self) -> dict[str, Any]:
        return {
            "booting": self._booting,
            "naps": self._naps,
            "last_tb": self._last_tb,
            "inner": self._inner.save(),
        }

    def load(self, state: dict[str, Any]) -> None:
        self._booting, self._naps, self._last_tb = state["booting"], state["naps"], state["last_tb"]
        self._inner.load(state["inner"])
