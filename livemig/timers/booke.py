"""BookE: a decrementer that stops at 0 or reloads itself from DECAR, fixed interval timer, watchdog.

Sources: "PowerPC e500 Core Family Reference Manual", chapter "Timer Facilities", and that of the 440; QEMU
``hw/ppc/ppc_booke.c``, whose ways the switches have.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from livemig.timers.decrementer import Decrementer
from livemig.timers.embedded import FIT, MAIN, STATUS, WATCHDOG, Draft, Embedded
from livemig.timers.facility import Change, Timer, Timers
from livemig.timers.fixed_interval import count_to_rise
from livemig.timers.tcr import (
    ARE,
    ENW,
    WIS,
    WRS,
    extended_fit_period,
    extended_watchdog_period,
    fit_period,
    watchdog_period,
)

DECAR = 2


class Guard(StrEnum):
    """When FIT and watchdog are timed.

    ``FREE``: always, as the manuals say. ``ACKNOWLEDGED``: a write of TCR, a write of TSR that clears the status bit
    or the end of the interval starts the timer, if the status bit is clear then: what the comment in QEMU's
    ``booke_update_fixed_timer`` says. ``PENDING``: if it is set, which is what its code does; so from a clean TSR
    none of them ever starts.
    """

    FREE = "free"
    ACKNOWLEDGED = "acknowledged"
    PENDING = "pending"


@dataclass(frozen=True)
class BookE(Embedded):
    """``fit_bits``, ``watchdog_bits``: of TB, by FP and WP (440); where there are none, FPEXT and WPEXT choose among
    all 64 (e500). The rest are switches, each QEMU's way when it is turned.

    Args:
        guard: when FIT and watchdog are timed.
        least: an interval takes that many ticks at least (QEMU: 1 ms); 0 for any.
        watchdog_stub: the watchdog's time-outs do nothing.
        resume_clears_watchdog: ENW, WIS and WRS are cleared whenever guest time goes on.
        reload_from_callback: DECAR counts from when the interrupt was raised, late or not, not from when it was due.
        zero_interrupts: a written 0 sets DIS at once; else DECR stays 0 and nothing happens.
        inverted_read: a running DECR reads 0, one that has run out reads on below 0 (QEMU 8.2 to 9.0, 7.2.7 to
            7.2.22: the comparison in ``cpu_ppc_load_decr`` was the wrong way round).
    """

    fit_bits: tuple[int, ...] = ()
    watchdog_bits: tuple[int, ...] = ()
    guard: Guard = Guard.FREE
    least: int = 0
    watchdog_stub: bool = False
    resume_clears_watchdog: bool = False
    reload_from_callback: bool = False
    zero_interrupts: bool = False
    inverted_read: bool = False

    @property
    def registers(self) -> tuple[str, ...]:
        return "tcr", "tsr", "decar"

    @cached_property
    def timers(self) -> tuple[Timer, ...]:
        # the guest chooses the offsets (IVOR10 …): the number is the register's
        return self._timers("decr", (10, 11, 12))

    @property
    def watchdog_times_out(self) -> bool:
        return not self.watchdog_stub

    @property
    def follows_bits(self) -> bool:
        return self.guard is Guard.FREE

    def resumed(self, state: Timers, tick: int, tb: int) -> Change:
        if not self.resume_clears_watchdog:
            return Change(state)
        return self.write(state, "tsr", ENW | WIS | WRS, tick, tb)

    # -- decrementer ----------------------------------------------------------------------------------------------

    def _read_main(self, count: Decrementer, tick: int) -> int:
        ticks = count.expiry - tick
        return min(ticks, 0) if self.inverted_read else max(ticks, 0)

    def _write_main(self, draft: Draft, value: int) -> None:
        draft.counts[MAIN] = Decrementer(draft.tick + value, armed=value > 0 or self.zero_interrupts)

    def _main_expires(self, draft: Draft, due: int) -> None:
        value = draft.spr[DECAR]
        if not draft.tcr & ARE or not value:
            draft.counts[MAIN] = Decrementer(due, armed=False)
        elif self.reload_from_callback:
            draft.counts[MAIN] = Decrementer(draft.tick + value, armed=True)
        else:  # periods that nobody lived through are one
            draft.counts[MAIN] = Decrementer(due + ((draft.tick - due) // value + 1) * value, armed=True)

    def _write_other(self, draft: Draft, register: str, value: int) -> None:
        if register != "decar":
            raise ValueError(register)
        draft.spr[DECAR] = value

    # -- FIT and watchdog -----------------------------------------------------------------------------------------

    def bit(self, timer: int, tcr: int) -> int:
        if timer == FIT:
            return self.fit_bits[fit_period(tcr)] if self.fit_bits else 63 - extended_fit_period(tcr)
        return self.watchdog_bits[watchdog_period(tcr)] if self.watchdog_bits else 63 - extended_watchdog_period(tcr)

    def _count(self, draft: Draft, timer: int) -> Decrementer:
        return count_to_rise(draft.tick, draft.tb, self.bit(timer, draft.tcr), self.least)

    def _from_reset(self, draft: Draft) -> None:
        if self.follows_bits:
            draft.counts[FIT:] = [self._count(draft, FIT), self._count(draft, WATCHDOG)]

    def _interval_over(self, draft: Draft, timer: int) -> None:
        draft.counts[timer] = draft.counts[timer]._replace(armed=False)
        self._may_start(draft, timer)

    def _may_start(self, draft: Draft, timer: int, anew: bool = False) -> None:
        if self.follows_bits:
            self._follow(draft, timer, anew)
        elif bool(draft.tsr & STATUS[timer]) == (self.guard is Guard.PENDING):
            draft.counts[timer] = self._count(draft, timer)

    def _tcr_written(self, draft: Draft, old: int) -> None:
        for timer in (FIT, WATCHDOG):
            self._may_start(draft, timer, anew=self.bit(timer, old) != self.bit(timer, draft.tcr))

    def _tsr_written(self, draft: Draft, cleared: int) -> None:
        if not self.level:
            draft.lowered |= {timer for timer, bit in enumerate(STATUS) if cleared & bit}
        for timer in (FIT, WATCHDOG):
            if self.follows_bits or cleared & STATUS[timer]:
                self._may_start(draft, timer)


QEMU = BookE(
    wrc_sticky=False,
    wrs_survives=False,
    watchdog_critical=False,
    guard=Guard.PENDING,
    watchdog_stub=True,
    resume_clears_watchdog=True,
    reload_from_callback=True,
    zero_interrupts=True,
)
"""As QEMU 10 has it, but for its least interval of 1 ms, which depends on the frequency."""
