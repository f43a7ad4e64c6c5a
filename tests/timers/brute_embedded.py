"""The timers of a 40x and of a BookE CPU as registers and wires, tick by tick: the oracles for the real ones.

Written from the manuals and from the QEMU reference, sections 4 and 5, not from livemig's code. Nothing here knows
when anything will fall due: a tick passes, the counter goes down, bits of TB rise.
"""

from __future__ import annotations

from types import SimpleNamespace

ENW, WIS, DIS, FIS = 1 << 31, 1 << 30, 1 << 27, 1 << 26
WIE, DIE, FIE, ARE = 1 << 27, 1 << 26, 1 << 23, 1 << 22
MAIN, FIT, WATCHDOG = range(3)
STATUS, ENABLE = (DIS, FIS, WIS), (DIE, FIE, WIE)
RESETS = {0: None, 1: "core", 2: "chip", 3: "system"}


class Wires:
    """What both have. ``how``: the switches, by their names. ``raised``: (tick, timer), in order."""

    def __init__(self, how: SimpleNamespace, tb: int) -> None:
        self.how, self.tb, self.now = how, tb, 0
        self.tcr = self.tsr = 0
        self.raised: list[tuple[int, int]] = []
        self.reset: str | None = None
        self.boot()

    def boot(self) -> None:
        raise NotImplementedError

    def rises(self, bit: int) -> bool:
        return bool(self.tb >> bit & 1 and not (self.tb - 1) % 2**64 >> bit & 1)

    def event(self, timer: int) -> None:
        """A status bit is set: the interrupt, if it is enabled; where it is a level, only if it was not set before."""
        news = not (self.how.level and self.tsr & STATUS[timer])
        self.tsr |= STATUS[timer]
        if news and self.tcr & ENABLE[timer]:
            self.raised.append((self.now, timer))

    def lines(self) -> list[bool]:
        return [bool(self.tsr & s and self.tcr & e) for s, e in zip(STATUS, ENABLE, strict=True)]

    def watchdog_stage(self) -> bool:
        """Whether it was the last."""
        if not self.tsr & ENW:
            self.tsr |= ENW
            return False
        if not self.tsr & WIS:
            self.event(WATCHDOG)
            return False
        self.reset = RESETS[self.tcr >> 28 & 3]
        if self.reset:
            self.tsr = self.tsr & ~(3 << 28) | self.tcr & 3 << 28
        return True

    def new_tcr(self, value: int) -> None:
        if self.how.wrc_sticky and self.tcr >> 28 & 3:
            value = value & ~(3 << 28) | self.tcr & 3 << 28
        self.tcr = value

    def write(self, register: str, value: int) -> None:
        before, told = self.lines(), len(self.raised)
        getattr(self, f"mt{register}")(value)
        if self.how.level:  # enabling what has been is an interrupt, each time
            seen = {timer for _, timer in self.raised[told:]}
            self.raised += [
                (self.now, timer)
                for timer, (was, up) in enumerate(zip(before, self.lines(), strict=True))
                if up and not was and timer not in seen
            ]


class Brute40x(Wires):
    def boot(self) -> None:
        self.pit = 0
        self.pit_reload = 0
        self.pit_runs = False
        periods = self.how.intervals_from_start
        self.fit = 2 << self.how.fit_bits[0] if periods and not self.how.fit_never_started else None
        self.wdt = 2 << self.how.watchdog_bits[0] if periods and not self.how.watchdog_steps_on_tcr_write else None
        self.watchdog_alive = not self.how.watchdog_steps_on_tcr_write

    @property
    def mfpit(self) -> int:
        return self.pit if self.how.pit_reads_on else max(self.pit, 0)

    def tick(self) -> None:
        self.now += 1
        self.tb = (self.tb + 1) % 2**64
        self.pit -= 1
        self.pit_may_be_over()
        self.intervals()

    def pit_may_be_over(self) -> None:
        """Below 0 it is only where it was restarted long after it had stopped: then all periods gone by are one."""
        if self.pit_runs and self.pit <= 0:
            self.event(MAIN)
            self.pit_runs = bool(self.tcr & ARE) and self.may_start()
            while self.pit_runs and self.pit <= 0:
                self.pit += self.pit_reload

    def intervals(self) -> None:
        fit_over = wdt_over = False
        if self.how.intervals_from_start:
            if self.fit is not None:
                self.fit -= 1
                fit_over = self.fit == 0
            if self.wdt is not None:
                self.wdt -= 1
                wdt_over = self.wdt == 0
        else:
            fit_over = self.rises(self.how.fit_bits[self.tcr >> 24 & 3]) and not self.how.fit_never_started
            wdt_over = self.rises(self.how.watchdog_bits[self.tcr >> 30]) and self.watchdog_alive
        if fit_over:
            self.event(FIT)
            self.fit = 2 << self.how.fit_bits[self.tcr >> 24 & 3]
        if wdt_over:
            self.watchdog_callback()

    def watchdog_callback(self) -> None:
        last = self.watchdog_stage()
        stops = last and self.how.watchdog_steps_on_tcr_write
        self.watchdog_alive = not stops
        self.wdt = None if stops else 2 << self.how.watchdog_bits[self.tcr >> 30]

    def may_start(self) -> bool:
        least = 2 if self.how.pit_ignores_small else 1
        return self.pit_reload >= least and bool(self.tcr & DIE or not self.how.pit_needs_pie)

    def mtpit(self, value: int) -> None:
        self.pit_reload = value
        self.pit_runs = self.may_start()
        keeps = (self.how.pit_ignores_small and value <= 1) or (self.how.pit_needs_pie and not self.tcr & DIE)
        if not keeps:
            self.pit = value

    def mttcr(self, value: int) -> None:
        self.new_tcr(value & 0xFFC0_0000)
        if self.how.tcr_write_restarts:
            self.pit_runs = bool(self.tcr & ARE) and self.may_start()
            if self.pit_runs:
                self.pit += self.pit_reload
        if self.how.watchdog_steps_on_tcr_write:
            self.watchdog_callback()
        if not self.reset:
            self.pit_may_be_over()

    def mttsr(self, value: int) -> None:
        self.tsr &= ~(value & 0xFC00_0000)


class BruteBookE(Wires):
    def boot(self) -> None:
        self.decr = 0
        self.decr_runs = False
        self.decar = 0
        # under a guard: ticks that QEMU's timer has left
        self.timer: dict[int, int | None] = {FIT: None, WATCHDOG: None}

    @property
    def mfdecr(self) -> int:
        if self.how.inverted_read:
            return min(self.decr, 0)
        return max(self.decr, 0)

    def bit(self, timer: int) -> int:
        short, long = (24, 13) if timer == FIT else (30, 17)
        table = self.how.fit_bits if timer == FIT else self.how.watchdog_bits
        return table[self.tcr >> short & 3] if table else 63 - ((self.tcr >> long & 15) * 4 + (self.tcr >> short & 3))

    def tick(self) -> None:
        self.now += 1
        self.tb = (self.tb + 1) % 2**64
        self.decr -= 1
        if self.decr_runs and self.decr == 0:
            self.decr_over()
        for timer in (FIT, WATCHDOG):
            if self.how.guard == "free":
                over = self.rises(self.bit(timer))
            else:
                left = self.timer[timer]
                self.timer[timer] = left = None if left is None else left - 1
                over = left == 0
            if over:
                self.over(timer)

    def decr_over(self) -> None:
        self.event(MAIN)
        self.decr_runs = bool(self.tcr & ARE and self.decar)
        if self.decr_runs:
            self.decr = self.decar

    def over(self, timer: int) -> None:
        if timer == FIT:
            self.event(FIT)
        elif not self.how.watchdog_stub:
            self.watchdog_stage()
        self.guarded_start(timer, over=True)

    def guarded_start(self, timer: int, over: bool = False) -> None:
        """``booke_update_fixed_timer``, by the tick."""
        if self.how.guard == "free":
            return
        if over:
            self.timer[timer] = None
        if bool(self.tsr & STATUS[timer]) == (self.how.guard == "pending"):
            ticks, tb = 1, self.tb + 1
            if self.bit(timer) > 12:  # beyond the end of any test
                self.timer[timer] = None
                return
            while not (tb >> self.bit(timer) & 1 and not (tb - 1) >> self.bit(timer) & 1):
                ticks, tb = ticks + 1, tb + 1
            self.timer[timer] = max(ticks, self.how.least)

    def mtdecr(self, value: int) -> None:
        self.decr = value
        self.decr_runs = value > 0
        if value == 0 and self.how.zero_interrupts:
            self.decr_over()

    def mtdecar(self, value: int) -> None:
        self.decar = value

    def mttcr(self, value: int) -> None:
        self.new_tcr(value)
        self.guarded_start(FIT)
        self.guarded_start(WATCHDOG)

    def mttsr(self, value: int) -> None:
        self.tsr &= ~value
        for timer in (FIT, WATCHDOG):
            if value & STATUS[timer]:
                self.guarded_start(timer)
