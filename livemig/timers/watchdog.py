"""The watchdog's stages. At its first time-out it wakes, at the second it barks, at the third it resets the machine.

====  ====  =============================================================
ENW   WIS   at a time-out
====  ====  =============================================================
0     any   ENW is set
1     0     WIS is set: the interrupt, if WIE is
1     1     WRS takes WRC, and what that names is reset; nothing, if WRC is 0
====  ====  =============================================================

To *pet* it is to clear ENW (405 and e500 manuals, "Watchdog timer"; QEMU ``cpu_4xx_wdt_cb``).
"""

from __future__ import annotations

from typing import NamedTuple

from livemig.timers.tcr import ENW, WIE, WIS, WRC, WRS, watchdog_reset


class Stage(NamedTuple):
    """After a time-out: TSR, whether WIS was set by it, whether it was the last one, and what that resets."""

    tsr: int
    barked: bool = False
    last: bool = False
    reset: str | None = None


def time_out(tcr: int, tsr: int) -> Stage:
    """One time-out."""
    if not tsr & ENW:
        return Stage(tsr | ENW)
    if not tsr & WIS:
        return Stage(tsr | WIS, barked=True)
    reset = watchdog_reset(tcr)
    return Stage(tsr if reset is None else tsr & ~WRS | tcr & WRC, last=True, reset=reset)


def barks_next(tcr: int, tsr: int) -> bool:
    """Whether the next time-out raises the interrupt."""
    return bool(tcr & WIE and tsr & ENW and not tsr & WIS)


def stages_before_reset(tcr: int, tsr: int) -> int | None:
    """How many time-outs come before the one that resets; None if none does."""
    if watchdog_reset(tcr) is None:
        return None
    return (not tsr & ENW) + (not tsr & WIS)


def is_over(tcr: int, tsr: int) -> bool:
    """Whether further time-outs change nothing: all has been said, and there is nothing to reset."""
    return bool(tsr & ENW and tsr & WIS) and watchdog_reset(tcr) is None
