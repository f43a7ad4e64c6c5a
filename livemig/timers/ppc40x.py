"""PowerPC 40x: programmable interval timer (PIT), fixed interval timer (FIT), watchdog.

The PIT counts down from what is written to it, sets TSR[PIS] when it reaches 0, and begins anew with TCR[ARE], or
stops at 0. Sources: "PPC405 Processor Core User's Manual", chapter "Timer Facilities"; QEMU ``hw/ppc/ppc.c``
``ppc_40x_timers_init`` (405 boards were removed after 7.2), whose ways the switches have.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from livemig.timers.decrementer import Decrementer
from livemig.timers.embedded import FIT, MAIN, STATUS, WATCHDOG, Draft, Embedded
from livemig.timers.facility import Timer, Timers
from livemig.timers.fixed_interval import FIT_40X, WATCHDOG_40X, count, count_to_rise
from livemig.timers.tcr import (
    ARE,
    DIE,
    ENW,
    TCR_40X,
    TSR_40X,
    fit_period,
    watchdog_period,
)
from livemig.timers.ticks import NS_PER_S

RELOAD, LOST = 2, 3


@dataclass(frozen=True)
class Ppc40x(Embedded):
    """``fit_bits``, ``watchdog_bits``: of TB, by FP and WP. The rest are switches, each QEMU's way when it is turned.

    Args:
        pit_needs_pie: the PIT is started, by a write or by its reload, only while TCR[PIE] is set.
        pit_ignores_small: a written 0 or 1 stops it where it is; else it goes to 0, and 1 is a tick.
        pit_reads_on: it reads on below 0, where it has stopped.
        tcr_write_restarts: a write of TCR stops it without ARE, and with ARE gives it one period more.
        reload_rounds_down_at: frequency in Hz at which a reload is converted to nanoseconds and rounded down, so
            that each period is up to 1 ns short (QEMU up to 8.1); 0 for an exact one.
        tsr_clears_pit_on_enw: a pulse of the PIT is taken back by clearing ENW; else any pulse is, by clearing its
            status bit. For pulses only.
        fit_never_started: nothing ever starts the FIT.
        intervals_from_start: FIT and watchdog count whole periods from when they were started or were over last;
            else they wait for their bit of TB to rise.
        watchdog_steps_on_tcr_write: each write of TCR is a time-out, and nothing else starts the watchdog, neither
            a reset nor petting it after its last stage.
    """

    fit_bits: tuple[int, ...] = FIT_40X
    watchdog_bits: tuple[int, ...] = WATCHDOG_40X
    pit_needs_pie: bool = False
    pit_ignores_small: bool = False
    pit_reads_on: bool = False
    tcr_write_restarts: bool = False
    reload_rounds_down_at: int = 0
    tsr_clears_pit_on_enw: bool = False
    fit_never_started: bool = False
    intervals_from_start: bool = False
    watchdog_steps_on_tcr_write: bool = False

    @property
    def registers(self) -> tuple[str, ...]:
        """``pit_reload``: what was written last. ``pit_lost``: ticks that its reloads lost, in thousand millionths."""
        return "tcr", "tsr", "pit_reload", "pit_lost"

    @cached_property
    def timers(self) -> tuple[Timer, ...]:
        return self._timers("pit", (0x1000, 0x1010, 0x1020))

    @property
    def tcr_bits(self) -> int:
        return TCR_40X

    @property
    def tsr_bits(self) -> int:
        return TSR_40X

    @property
    def follows_bits(self) -> bool:
        return not self.intervals_from_start

    def may_arm_watchdog(self, state: Timers) -> bool:
        return self.watchdog_steps_on_tcr_write or super().may_arm_watchdog(state)

    # -- PIT ------------------------------------------------------------------------------------------------------

    def _read_main(self, count: Decrementer, tick: int) -> int:
        ticks = count.expiry - tick
        return ticks if self.pit_reads_on else max(ticks, 0)

    def _write_main(self, draft: Draft, value: int) -> None:
        draft.spr[RELOAD], draft.spr[LOST] = value, 0
        old = draft.counts[MAIN]
        if (self.pit_ignores_small and value <= 1) or (self.pit_needs_pie and not draft.tcr & DIE):
            draft.counts[MAIN] = Decrementer(old.expiry, armed=False)
        else:
            draft.counts[MAIN] = Decrementer(draft.tick + value, armed=value > 0)

    def _main_expires(self, draft: Draft, due: int) -> None:
        if self._reloads(draft):
            draft.counts[MAIN] = Decrementer(self._reload(draft, due, draft.tick), armed=True)
        else:
            draft.counts[MAIN] = Decrementer(due, armed=False)

    def _reloads(self, draft: Draft) -> bool:
        enabled = draft.tcr & ARE and (draft.tcr & DIE or not self.pit_needs_pie)
        return bool(enabled) and draft.spr[RELOAD] > (1 if self.pit_ignores_small else 0)

    def _reload(self, draft: Draft, due: int, after: int) -> int:
        """``due`` and as many periods as make it later than ``after``: those that nobody lived through are one."""
        period = draft.spr[RELOAD]
        lost_each = period * NS_PER_S % self.reload_rounds_down_at if self.reload_rounds_down_at else 0
        periods = max((after - due) // period, 0) + 1
        while True:
            ticks, lost = divmod(draft.spr[LOST] + periods * lost_each, NS_PER_S)
            expiry = due + periods * period - ticks
            if expiry > after:
                draft.spr[LOST] = lost
                return expiry
            periods += 1

    # -- FIT and watchdog -----------------------------------------------------------------------------------------

    def bit(self, timer: int, tcr: int) -> int:
        return self.fit_bits[fit_period(tcr)] if timer == FIT else self.watchdog_bits[watchdog_period(tcr)]

    def _count(self, draft: Draft, timer: int) -> Decrementer:
        bit = self.bit(timer, draft.tcr)
        if self.intervals_from_start:
            return count(draft.tick, 2 << bit)
        return count_to_rise(draft.tick, draft.tb, bit)

    def _from_reset(self, draft: Draft) -> None:
        if not self.fit_never_started:
            draft.counts[FIT] = self._count(draft, FIT)
        if not self.watchdog_steps_on_tcr_write:
            draft.counts[WATCHDOG] = self._count(draft, WATCHDOG)

    def _interval_over(self, draft: Draft, timer: int) -> None:
        stepped = timer == WATCHDOG and self.watchdog_steps_on_tcr_write
        if stepped and draft.watchdog_ended:
            draft.counts[timer] = draft.counts[timer]._replace(armed=False)
        elif stepped or self.intervals_from_start:  # what nothing else starts does not rest
            draft.counts[timer] = self._count(draft, timer)
        else:
            self._follow(draft, timer, anew=True)

    # -- registers ------------------------------------------------------------------------------------------------

    def _tcr_written(self, draft: Draft, old: int) -> None:
        if self.tcr_write_restarts:
            pit = draft.counts[MAIN]
            reloads = self._reloads(draft)
            expiry = self._reload(draft, pit.expiry, pit.expiry) if reloads else pit.expiry
            draft.counts[MAIN] = Decrementer(expiry, armed=reloads)
        self._follow_bit(draft, FIT, old)
        if self.watchdog_steps_on_tcr_write:
            self.time_out(draft, draft.tick)
            self._interval_over(draft, WATCHDOG)
        else:
            self._follow_bit(draft, WATCHDOG, old)

    def _follow_bit(self, draft: Draft, timer: int, old_tcr: int) -> None:
        if self.follows_bits and not (timer == FIT and self.fit_never_started):
            tcr = draft.tcr
            self._follow(draft, timer, anew=tcr != old_tcr and self.bit(timer, old_tcr) != self.bit(timer, tcr))

    def _tsr_written(self, draft: Draft, cleared: int) -> None:
        if self.tsr_clears_pit_on_enw:
            draft.lowered |= {MAIN} if cleared & ENW else set()
        elif not self.level:
            draft.lowered |= {timer for timer, bit in enumerate(STATUS) if cleared & bit}
        self._follow_bit(draft, FIT, draft.tcr)
        if not self.watchdog_steps_on_tcr_write:
            self._follow_bit(draft, WATCHDOG, draft.tcr)

    def _write_other(self, draft: Draft, register: str, value: int) -> None:
        raise ValueError(register)


QEMU = Ppc40x(
    level=False,
    wrc_sticky=False,
    wrs_survives=False,
    watchdog_critical=False,
    pit_needs_pie=True,
    pit_ignores_small=True,
    pit_reads_on=True,
    tcr_write_restarts=True,
    tsr_clears_pit_on_enw=True,
    fit_never_started=True,
    intervals_from_start=True,
    watchdog_steps_on_tcr_write=True,
)
"""As QEMU 7.2 has it, but for the rounding of its reloads, which depends on the frequency."""
