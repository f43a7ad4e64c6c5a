"""What 40x and BookE have in common: a main timer, FIT and watchdog, whose events are bits of TSR and whose
interrupts TCR enables.

A fixed interval is timed only while its end would change something: while FIS is set already, or the watchdog has
nothing more to do, its count stands. So an edge at the very tick at which TSR is cleared was one of those before.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, fields
from typing import Final

from livemig.timers.decrementer import Decrementer, Line
from livemig.timers.facility import Change, Effect, Timer, TimerFacility, Timers
from livemig.timers.tcr import DIE, DIS, ENW, FIE, FIS, WIE, WIS, WORD, WRC, WRS
from livemig.timers.ticks import NEVER
from livemig.timers.watchdog import barks_next, is_over, stages_before_reset, time_out

MAIN, FIT, WATCHDOG = range(3)
TCR, TSR = range(2)
STATUS: Final = (DIS, FIS, WIS)
ENABLE: Final = (DIE, FIE, WIE)
_ASKED: Final = (DIS, FIS, WIS | ENW)
"""Bits of TSR, by timer, on which it depends whether its interrupt is up, or to come."""


@dataclass(slots=True)
class Draft:
    """A state that is being made, and what happened on the way.

    Attributes:
        events: timer → the tick at which it fell due and set its status bit. written: timer → the value that it
            counts from. lowered: timers whose pulse a write took back. watchdog_ended: that was its last stage.
    """

    counts: list[Decrementer]
    spr: list[int]
    tick: int
    tb: int
    events: dict[int, int] = field(default_factory=dict)
    written: dict[int, int] = field(default_factory=dict)
    lowered: set[int] = field(default_factory=set)
    watchdog_ended: bool = False
    reset: str | None = None

    @classmethod
    def of(cls, state: Timers, tick: int, tb: int) -> Draft:
        return cls(list(state.counts), list(state.spr), tick, tb)

    @property
    def tcr(self) -> int:
        return self.spr[TCR]

    @property
    def tsr(self) -> int:
        return self.spr[TSR]

    @tsr.setter
    def tsr(self, value: int) -> None:
        self.spr[TSR] = value

    def concerns(self, timer: int) -> bool:
        """It happened to it, whatever its count and the registers say."""
        return timer in self.written or timer in self.events or timer in self.lowered

    def state(self) -> Timers:
        return Timers(tuple(self.counts), tuple(self.spr))


@dataclass(frozen=True)
class Embedded(TimerFacility):
    """Switches that both families have; each is the manual's way unless it is turned.

    Args:
        level: an interrupt is up as long as its bits of TSR and TCR are both set. Else it is a pulse, raised by the
            event and taken back by its delivery (QEMU on 40x).
        wrc_sticky: WRC, once it is not 0, stays as it is until a reset. Else it is written as any other (QEMU).
        wrs_survives: WRS is kept over the reset that it tells of. Else it is lost (QEMU resets all registers).
        watchdog_critical: the watchdog's interrupt is critical, MSR[EE] does not mask it. Else it does (QEMU).
    """

    level: bool = True
    wrc_sticky: bool = True
    wrs_survives: bool = True
    watchdog_critical: bool = True

    @property
    def priority(self) -> tuple[int, ...]:
        return WATCHDOG, FIT, MAIN

    # -- what the families do each in their own way ---------------------------------------------------------------

    @abstractmethod
    def _write_main(self, draft: Draft, value: int) -> None:
        """``mtspr`` of the main timer."""

    @abstractmethod
    def _main_expires(self, draft: Draft, due: int) -> None:
        """It has reached 0: count on, or stop."""

    @abstractmethod
    def _write_other(self, draft: Draft, register: str, value: int) -> None:
        """``mtspr`` of a register but TCR and TSR."""

    @abstractmethod
    def _tcr_written(self, draft: Draft, old: int) -> None:
        """TCR was ``old``: what its new value means to the counts."""

    @abstractmethod
    def _tsr_written(self, draft: Draft, cleared: int) -> None:
        """``cleared`` was written to TSR: what that means to the counts."""

    @abstractmethod
    def _interval_over(self, draft: Draft, timer: int) -> None:
        """FIT or watchdog has fallen due and TSR says so: count to the next time."""

    @abstractmethod
    def _from_reset(self, draft: Draft) -> None:
        """All counts stand and TCR is 0: start those that run after a reset."""

    @abstractmethod
    def _read_main(self, count: Decrementer, tick: int) -> int:
        """What the guest reads of the main timer."""

    @abstractmethod
    def bit(self, timer: int, tcr: int) -> int:
        """The bit of TB whose rise FIT or watchdog waits for."""

    @abstractmethod
    def _count(self, draft: Draft, timer: int) -> Decrementer:
        """FIT's or watchdog's, started now."""

    @property
    def tsr_bits(self) -> int:
        """Bits of TSR that can be cleared."""
        return WORD

    @property
    def tcr_bits(self) -> int:
        """Bits of TCR that there are."""
        return WORD

    @property
    @abstractmethod
    def follows_bits(self) -> bool:
        """FIT and watchdog are bits of TB that rise, whatever the CPU does."""

    @property
    def watchdog_times_out(self) -> bool:
        """Its time-outs have an effect."""
        return True

    # -- reset ----------------------------------------------------------------------------------------------------

    def at_reset(self, tick: int = 0, tb: int = 0) -> Timers:
        return self._reset(0, tick, tb)

    def reset(self, state: Timers, kind: str, tick: int, tb: int) -> Timers:
        return self._reset(state.spr[TSR] & WRS if self.wrs_survives else 0, tick, tb)

    def _reset(self, tsr: int, tick: int, tb: int) -> Timers:
        spr = [0] * len(self.registers)
        spr[TSR] = tsr
        draft = Draft([Decrementer(tick, armed=False)] * len(self.timers), spr, tick, tb)
        self._from_reset(draft)
        return draft.state()

    @property
    def resets(self) -> bool:
        return True

    def earliest_reset(self, state: Timers) -> int:
        """The watchdog's next time-out, and a tick for each one after it. A shorter period in TCR, once WRC is set,
        can bring it nearer."""
        tcr, tsr = state.spr[:2]
        stages = stages_before_reset(tcr, tsr)
        watchdog = state.counts[WATCHDOG]
        if stages is None or not watchdog.armed or not self.watchdog_times_out:
            return NEVER
        return watchdog.expiry + stages

    def timebase_written(self, state: Timers, tick: int, tb: int) -> Change:
        """The manuals know nothing but the bits of TB; QEMU's timers go on as they were started."""
        draft = Draft.of(state, tick, tb)
        for timer in (FIT, WATCHDOG):
            if draft.counts[timer].armed and self.follows_bits:
                draft.counts[timer] = self._count(draft, timer)
        return self._settle(state, draft)

    def may_arm_watchdog(self, state: Timers) -> bool:
        return self.watchdog_times_out and not state.spr[TCR] & WRC

    # -- acts -----------------------------------------------------------------------------------------------------

    def write(self, state: Timers, register: str, value: int, tick: int, tb: int) -> Change:
        draft = Draft.of(state, tick, tb)
        if register == self.main.name:
            self._write_main(draft, value & WORD)
            draft.written[MAIN] = value & WORD
        elif register == "tcr":
            self._write_tcr(draft, value & self.tcr_bits)
        elif register == "tsr":
            draft.tsr &= ~(value & self.tsr_bits)
            self._tsr_written(draft, value)
        else:
            self._write_other(draft, register, value & WORD)
        return self._settle(state, draft)

    def _write_tcr(self, draft: Draft, value: int) -> None:
        old = draft.tcr
        if self.wrc_sticky and old & WRC:
            value = value & ~WRC | old & WRC
        draft.spr[TCR] = value
        self._tcr_written(draft, old)

    def expire(self, state: Timers, timer: int, tick: int, tb: int) -> Change:
        draft = Draft.of(state, tick, tb)
        due = state.counts[timer].expiry
        if timer == MAIN:
            draft.tsr |= DIS
            draft.events[MAIN] = due
            self._main_expires(draft, due)
        else:
            if timer == FIT:
                draft.tsr |= FIS
                draft.events[FIT] = due
            elif self.watchdog_times_out:
                self.time_out(draft, due)
            self._interval_over(draft, timer)
        return self._settle(state, draft, timer)

    def time_out(self, draft: Draft, due: int) -> None:
        """The watchdog, one stage further."""
        stage = time_out(draft.tcr, draft.tsr)
        draft.tsr, draft.watchdog_ended, draft.reset = stage.tsr, stage.last, stage.reset
        if stage.barked:
            draft.events[WATCHDOG] = due

    # -- free-running intervals -----------------------------------------------------------------------------------

    def _follow(self, draft: Draft, timer: int, anew: bool = False) -> None:
        """Time an interval as the manuals say, by the rises of its bit; ``anew``: by another bit than before."""
        count = draft.counts[timer]
        if self._is_idle(draft, timer):
            if count.armed:
                draft.counts[timer] = Decrementer(count.expiry, armed=False)
        elif anew or not count.armed:
            draft.counts[timer] = self._count(draft, timer)

    def _is_idle(self, draft: Draft, timer: int) -> bool:
        tcr, tsr = draft.spr[:2]
        if timer == WATCHDOG:
            return is_over(tcr, tsr)
        return bool(tsr & FIS) and (self.level or not tcr & FIE)

    # -- what comes of it -----------------------------------------------------------------------------------------

    def promised(self, state: Timers, timer: int) -> int:
        tcr, tsr = state.spr[:2]
        if not tcr & ENABLE[timer] or (self.level and tsr & STATUS[timer]):  # what is up cannot rise
            return NEVER
        if timer == WATCHDOG and not (self.watchdog_times_out and barks_next(tcr, tsr)):
            return NEVER
        return self.due(timer, state.counts[timer])

    def is_up(self, state: Timers, timer: int) -> bool:
        """TSR and TCR ask for its interrupt."""
        tcr, tsr = state.spr[:2]
        return bool(tcr & ENABLE[timer] and tsr & STATUS[timer])

    def _settle(self, old: Timers, draft: Draft, expired: int | None = None) -> Change:
        new = draft.state()
        effects: list[Effect] = []
        tcr, tsr = old.spr[TCR] ^ new.spr[TCR], old.spr[TSR] ^ new.spr[TSR]
        for timer, was in enumerate(old.counts):
            if timer == expired:
                self._by_itself(effects, old, new, draft, timer)
            elif (
                was is not new.counts[timer] or tcr & ENABLE[timer] or tsr & _ASKED[timer] or draft.concerns(timer)
            ):
                self._by_write(effects, old, new, draft, timer)
        return Change(new, tuple(effects), draft.reset)

    def _by_itself(self, effects: list[Effect], old: Timers, new: Timers, draft: Draft, timer: int) -> None:
        if self._rises(old, new, draft, timer):
            effects.append(Effect(timer, Line.RAISE, draft.events[timer]))
        if self.promised(new, timer) != NEVER:
            ticks = new.counts[timer].expiry - draft.tick
            effects.append(Effect(timer, wrote=draft.written.get(timer, ticks), reloaded=True))

    def _rises(self, old: Timers, new: Timers, draft: Draft, timer: int) -> bool:
        """Its interrupt is raised: a level that was down, or a pulse by an event that is enabled."""
        if self.level:
            return self.is_up(new, timer) and not self.is_up(old, timer)
        return timer in draft.events and bool(draft.tcr & ENABLE[timer])

    def _by_write(self, effects: list[Effect], old: Timers, new: Timers, draft: Draft, timer: int) -> None:
        """A write that raises is an arm that is due at once; the count that goes on is armed anew after it."""
        ticks = max(new.counts[timer].expiry - draft.tick, 0)
        if self._rises(old, new, draft, timer):
            effects.append(Effect(timer, Line.RAISE, draft.tick, wrote=0))
            if self.promised(new, timer) != NEVER:
                effects.append(Effect(timer, wrote=draft.written.get(timer, ticks)))
            return
        fell = self.is_up(old, timer) and not self.is_up(new, timer) if self.level else timer in draft.lowered
        line = Line.LOWER if fell else Line.KEEP
        if timer in draft.written or self.promised(new, timer) != self.promised(old, timer):
            effects.append(Effect(timer, line, wrote=draft.written.get(timer, ticks)))
        elif fell:
            effects.append(Effect(timer, line))

    def as_fields(self) -> dict[str, int | str | bool]:
        """Its switches. The judge must know that nothing is negative, and that a status bit says what is pending."""
        known: dict[str, int | str | bool] = {"decrementer_bits": 32, "trigger": "status", "stops_at_zero": True}
        return known | {switch.name: _plain(getattr(self, switch.name)) for switch in fields(self)}

    def _timers(self, main: str, vectors: tuple[int, int, int]) -> tuple[Timer, ...]:
        return (
            Timer(main, vectors[MAIN], level=self.level),
            Timer("fit", vectors[FIT], 56, self.level),
            Timer("watchdog", vectors[WATCHDOG], 56, self.level, ee=not self.watchdog_critical),
        )

    def reading(self, timer: int, count: Decrementer, tick: int) -> int:
        """Of FIT and watchdog the ticks that are left, though no guest can read them."""
        return self._read_main(count, tick) if timer == MAIN else count.expiry - tick


def _plain(value: bool | int | str | tuple[int, ...]) -> int | str | bool:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value) if isinstance(value, str) else value  # an Enum is one, and does not pack
