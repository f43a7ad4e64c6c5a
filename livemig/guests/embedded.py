"""Firmware of an embedded system: a tick, a fixed interval, and a watchdog that must be petted.

What Linux does on 40x and BookE (``arch/powerpc/kernel/time.c`` ``start_cpu_decrementer``: TSR cleared, DECAR or PIT
loaded, TCR[DIE|ARE] set; ``drivers/watchdog/booke_wdt.c``: TCR[WP|WIE|WRC], petted by writing TSR[ENW|WIS];
``WatchdogHandler``: clears TCR[WIE] and waits).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from livemig.guests.guest import Guest, Read, Write
from livemig.timers.tcr import ARE, DIE, DIS, ENW, FIE, FIS, WIE, WIS, WORD, WRC, WRS
from livemig.timers.ticks import MASK64, NEVER

MAIN, FIT, WATCHDOG = range(3)


@dataclass(frozen=True, slots=True)
class Firmware:
    """What it does; times in ticks of the timebase.

    Args:
        main: ``pit`` or ``decr``. period, first: what the timer is written with. tcr: FP, WP and WRC. auto_reload,
            fit: whether it uses them. start_first: the timer is written before TCR. pet_every: ticks between
            pettings. pets_for: until when it pets, counted from its boot; 0 for ever. bark: ``pet``, ``wait``,
            ``disarm``, at the watchdog's interrupt.
    """

    main: str
    period: int
    first: int
    tcr: int
    auto_reload: bool
    fit: bool
    start_first: bool
    pet_every: int
    pets_for: int
    bark: str


class Embedded(Guest):
    """A handler makes its step ``arm_ticks`` after delivery and takes ``handler_ticks`` in all."""

    def __init__(self, firmware: Firmware, arm_ticks: int, handler_ticks: int, boot_ticks: int) -> None:
        self.main = firmware.main
        self._firmware = firmware
        self._arm_ticks, self._handler_ticks = arm_ticks, max(handler_ticks, arm_ticks)
        self._boot_ticks = boot_ticks
        self._booting = self._faithful = False
        """``_faithful``: it never stops petting, since it was reset for that once."""
        self._ticks = 0
        self._next_tb = self._hangs_tb = 0

    def boot(self) -> int:
        self._booting = True
        return self._boot_ticks

    def interrupted(self, timer: int) -> tuple[int, int]:
        return self._arm_ticks, self._handler_ticks

    def act(self, timer: int, tb: int, read: Read) -> tuple[Sequence[Write], int]:
        if self._booting:
            self._booting = False
            return self._starts(tb, read("tsr")), NEVER
        if timer == FIT:
            return (("tsr", FIS),), NEVER
        if timer == WATCHDOG:
            return self._barked_at(tb, read("tcr")), NEVER
        return self._tick(tb), NEVER

    def _starts(self, tb: int, tsr: int) -> Sequence[Write]:
        firmware = self._firmware
        self._ticks = 0
        self._faithful = not firmware.pets_for or bool(tsr & WRS)
        self._next_tb, self._hangs_tb = tb + firmware.first, tb + firmware.pets_for
        tcr = firmware.tcr | DIE | WIE | (FIE if firmware.fit else 0) | (ARE if firmware.auto_reload else 0)
        start = [(self.main, firmware.first)]
        if firmware.auto_reload and self.main == "decr":
            start.insert(0, ("decar", firmware.period))
        enable = ("tcr", tcr)
        return [("tsr", WORD), *([*start, enable] if firmware.start_first else [enable, *start])]

    def _tick(self, tb: int) -> Sequence[Write]:
        firmware = self._firmware
        self._ticks += 1
        clear = DIS
        if self._ticks % firmware.pet_every == 0 and self._pets(tb):
            clear |= ENW | WIS
        writes = [("tsr", clear)]
        if firmware.auto_reload and self.main == "pit" and self._ticks == 1 and firmware.first != firmware.period:
            writes.append(("pit", firmware.period))  # the PIT reloads what was written to it last
        if not firmware.auto_reload:
            if self._next_tb <= tb:  # ticks gone by are not made up
                self._next_tb += ((tb - self._next_tb) // firmware.period + 1) * firmware.period
            writes.append((self.main, self._next_tb - tb))
        return writes

    def _pets(self, tb: int) -> bool:
        return self._faithful or (tb - self._hangs_tb & MASK64) >> 63 == 1

    def _barked_at(self, tb: int, tcr: int) -> Sequence[Write]:
        if self._firmware.bark == "pet" and self._pets(tb):
            return (("tsr", ENW | WIS),)
        return (("tcr", tcr & ~(WIE | WRC if self._firmware.bark == "disarm" else WIE)),)

    def save(self) -> dict[str, Any]:
        return {
            "booting": self._booting,
            "faithful": self._faithful,
            "ticks": self._ticks,
            "next_tb": self._next_tb,
            "hangs_tb": self._hangs_tb,
        }

    def load(self, state: dict[str, Any]) -> None:
        self._booting, self._faithful, self._ticks = state["booting"], state["faithful"], state["ticks"]
        self._next_tb, self._hangs_tb = state["next_tb"], state["hangs_tb"]
