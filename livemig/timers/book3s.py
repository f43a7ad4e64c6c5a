"""Book3S and 6xx CPUs: the decrementer, and on those with a hypervisor mode of their own the hypervisor decrementer.

HDECR is a second decrementer of the hypervisor's, edge triggered in QEMU 10 whatever the CPU, level in 7.2. EE does
not mask it while a guest runs. QEMU gives it to powernv alone, and does not migrate it (``hw/ppc/ppc.c``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from livemig.timers.decrementer import (
    Decrementer,
    DecrementerModel,
    Line,
    Reset,
    at_reset,
    goes_round,
    store,
    underflows,
)
from livemig.timers.facility import Change, Effect, Timer, TimerFacility, Timers
from livemig.timers.ticks import NEVER

DECR, HDECR = range(2)
_PLAIN = DecrementerModel()


@dataclass(frozen=True)
class Book3S(TimerFacility):
    """Args: ``decrementer``, and ``hdecr`` where there is one: how they behave.

    ``nap_discards``: an exception of HDECR in a nap is lost (QEMU ``resume_as_sreset``); else it waits.
    """

    decrementer: DecrementerModel = _PLAIN
    hdecr: DecrementerModel | None = None
    nap_discards: bool = True

    @property
    def registers(self) -> tuple[str, ...]:
        """``nap``: 1 while the CPU naps."""
        return () if self.hdecr is None else ("nap",)

    @cached_property
    def models(self) -> tuple[DecrementerModel, ...]:
        """By index of timer."""
        return (self.decrementer,) if self.hdecr is None else (self.decrementer, self.hdecr)

    @cached_property
    def timers(self) -> tuple[Timer, ...]:
        decr = Timer("decr", 0x900, self.decrementer.bits, self.decrementer.level)
        if self.hdecr is None:
            return (decr,)
        return decr, Timer("hdecr", 0x980, self.hdecr.bits, self.hdecr.level, ee=False)

    @property
    def priority(self) -> tuple[int, ...]:
        return tuple(reversed(range(len(self.models))))

    def at_reset(self, tick: int = 0, tb: int = 0) -> Timers:
        return Timers(tuple(map(at_reset, self.models)), (0,) * len(self.registers))

    def reset(self, state: Timers, kind: str, tick: int, tb: int) -> Timers:
        """Where QEMU's reset of the machine leaves the timers alone, they count on."""
        fresh, kept = self.at_reset(), (Reset.CLOCK, Reset.ZERO)
        counts = zip(self.models, state.counts, fresh.counts, strict=True)
        return fresh._replace(counts=tuple(was if model.reset in kept else new for model, was, new in counts))

    def raised_at_reset(self) -> tuple[int, ...]:
        return (DECR,) if self.decrementer.reset is Reset.RAISED else ()

    def lag(self, timer: int) -> int:
        return self.models[timer].underflow_lag

    def due(self, timer: int, count: Decrementer) -> int:
        return count.happens(self.models[timer])

    def reading(self, timer: int, count: Decrementer, tick: int) -> int:
        return count.read(self.models[timer], tick)

    def write(self, state: Timers, register: str, value: int, tick: int, tb: int) -> Change:
        if register in self.registers:
            return self._naps(state, value & 1, tick)
        timer = self.named(register)
        model = self.models[timer]
        count, line = store(model, state.counts[timer], tick, value)
        return Change(_with(state, timer, count), (Effect(timer, line, tick, value & model.mask),))

    def expire(self, state: Timers, timer: int, tick: int, tb: int) -> Change:
        count, model = state.counts[timer], self.models[timer]
        if not count.armed:
            new = _with(state, timer, goes_round(model, count))
            line = Line.LOWER if model.level else Line.KEEP
            wrote = new.counts[timer].expiry - tick & model.mask
            return Change(new, (Effect(timer, line, wrote=wrote, reloaded=True),))
        new = _with(state, timer, underflows(model, count))
        if self._discards(state, timer):
            return Change(new)
        return Change(new, (Effect(timer, Line.RAISE, count.due(model)),))

    def promised(self, state: Timers, timer: int) -> int:
        """One that has underflowed raises no more before it is written, but for going round, which arms it anew."""
        count = state.counts[timer]
        return NEVER if self._discards(state, timer) or not count.armed else self.due(timer, count)

    def _discards(self, state: Timers, timer: int) -> bool:
        return timer == HDECR and self.nap_discards and state.spr[0] == 1

    def _naps(self, state: Timers, nap: int, tick: int) -> Change:
        """HDECR counts on through a nap, but towards nothing."""
        new = state._replace(spr=(nap,))
        if self.promised(new, HDECR) == self.promised(state, HDECR):
            return Change(new)
        ticks = state.counts[HDECR].expiry - tick & self.models[HDECR].mask
        return Change(new, (Effect(HDECR, wrote=ticks),))

    def as_fields(self) -> Mapping[str, int | str | bool]:
        model, hdecr = self.decrementer, self.hdecr
        fields: dict[str, int | str | bool] = {
            "decrementer_bits": model.bits,
            "trigger": _trigger(model),
            "small_values": "immediate" if model.small_values_raise else "wait",
            "underflow_at": "minus-one" if model.underflow_lag else "zero",
            "reset_decrementer": str(model.reset),
            "wrap": "acts" if model.wraps else "ignored",
        }
        if hdecr is None:
            return fields
        nap = "discarded" if self.nap_discards else "pending"
        return {**fields, "hdecr_bits": hdecr.bits, "hdecr_trigger": _trigger(hdecr), "hdecr_in_nap": nap}


def _trigger(model: DecrementerModel) -> str:
    return "level" if model.level else "edge"


def _with(state: Timers, timer: int, count: Decrementer) -> Timers:
    return state._replace(counts=(*state.counts[:timer], count, *state.counts[timer + 1 :]))
