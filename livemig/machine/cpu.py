"""One CPU: its decrementer, its interrupt line and MSR[EE], and the guest that runs on it.

Everything a CPU does happens at tick edges of its timebase, so its timeline is counted in ticks. At one tick the
order is: the guest's step, EE on, the guest's own masking, the timer's underflow; then delivery. That order is part
of the model: what the CPU does comes before what its timer does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from livemig.guests.guest import Guest, TickGuest
from livemig.machine import train
from livemig.machine.record import COALESCED, INTERRUPT, MASKED, Record
from livemig.timers.decrementer import Decrementer, DecrementerModel, Line, at_reset, store, underflows
from livemig.timers.ticks import MASK64, NEVER
from livemig.timers.timebase import Timebase

GUEST, RESET = range(2)


@dataclass(frozen=True, slots=True)
class DecrementerState:
    """A CPU's decrementer with its interrupt: ``pending`` and ``line`` are the ticks at which it fell due."""

    decrementer: Decrementer
    pending: int | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Masking:
    """Stretches in which the guest keeps EE off: ``length`` ticks, every ``every`` ticks; none where NEVER."""

    every: int = NEVER
    length: int = 0


class Cpu:
    """``now``: the first tick that has not been lived through. ``record``: what it did, or None to keep nothing."""

    def __init__(
        self, index: int, model: DecrementerModel, timebase: Timebase, guest: Guest, masking: Masking | None = None
    ) -> None:
        self.index, self.model, self.timebase, self.guest = index, model, timebase, guest
        self.masking = masking or Masking()
        self.record: Record | None = Record()
        self.delivered = 0
        self.worst_late = 0
        self.now = 0
        self.decrementer = at_reset(model)
        self.due = NEVER
        self.pending: int | None = None
        """The tick at which the raised, undelivered interrupt fell due."""
        self.line: int | None = None
        """The same for the level line: it stays up after delivery, until DECR is written non-negative."""
        self.step_at = NEVER
        self.entering = 0
        """Ticks from the handler's entry write, which is what ``step_at`` is then, to its step; 0 if it is done."""
        self.unmask_at = 0
        """The tick at which MSR[EE] goes on; it is on from there."""
        self.mask_at = NEVER

    # -- life ---------------------------------------------------------------------------------------------------

    def power_on(self, now: int) -> None:
        """Reset at tick ``now``: the start-up decrementer is programmed."""
        self.now = self.unmask_at = now
        self._set(at_reset(self.model), now, self.decrementer.expiry, RESET)

    def boot(self) -> None:
        """The guest starts to run."""
        self.step_at = min(self.now + self.guest.boot(), NEVER)
        self.mask_at = min(self.now + self.masking.every, NEVER)

    def run(self, until: int) -> None:
        """Live through every tick before ``until``."""
        while self.now < until:
            if self._steady():
                train.run(self, until)
            tick = max(self.now, min(self.step_at, self.mask_at, self.due, self._unmasking()))
            if tick >= until:
                self.now = until
                return
            self.now = tick
            if self.step_at <= tick:
                self._step(tick)
            if self.mask_at <= tick:
                self.mask_at = tick + self.masking.every
                self.unmask_at = max(self.unmask_at, tick + self.masking.length)
            if self.due <= tick:
                self._underflow(tick)
            if self.unmask_at <= tick and (self.pending is not None or self.line is not None):
                self.deliver(tick)

    def _steady(self) -> bool:
        """Nothing to come but the decrementer's next underflow, and a guest whose handler writes once."""
        return (
            self.due != NEVER
            and self.due >= self.now
            and self.step_at == self.mask_at == NEVER
            and self.pending is None
            and self.line is None
            and self.unmask_at <= self.due
            and isinstance(self.guest, TickGuest)
        )

    def _unmasking(self) -> int:
        return self.unmask_at if self.pending is not None or self.line is not None else NEVER

    def _step(self, tick: int) -> None:
        if self.entering:
            assert self.guest.entry is not None
            self.step_at, self.entering = tick + self.entering, 0
            self.write(tick, self.guest.entry[1])
            return
        value, following = self.guest.step(self.timebase.value + tick & MASK64, self.decrementer.read(self.model, tick))
        self.step_at = min(tick + following, NEVER)
        self.write(tick, value)

    def write(self, tick: int, value: int, cause: int = GUEST) -> None:
        """``mtdec`` at ``tick``."""
        new, line = store(self.model, self.decrementer, tick, value)
        self._set(new, tick, value, cause)
        if line is Line.LOWER:
            self.pending = self.line = None
        elif line is Line.RAISE:
            self._raise(tick, tick)

    def _set(self, new: Decrementer, tick: int, value: int, cause: int) -> None:
        self.decrementer = new
        self.due = new.due(self.model) if new.armed else NEVER
        if self.record is not None:
            # a write that raises at once is due at once; only a timer that was never started is due never
            at_once = not new.armed and cause != RESET
            due = tick if at_once else self.due if new.armed else -1
            self.record.arm(tick, value & self.model.mask, due, cause)

    def _underflow(self, tick: int) -> None:
        due, self.due = self.due, NEVER
        self.decrementer = underflows(self.model, self.decrementer)
        self._raise(tick, due)

    def _raise(self, tick: int, due: int) -> None:
        coalesced = self.pending is not None
        if not coalesced:
            self.pending = due
        if self.model.level:
            self.line = due
        if self.record is not None:
            if coalesced:
                self.record.raise_(COALESCED, tick, due)
            elif self.unmask_at > tick:
                self.record.raise_(MASKED, tick, due)

    def deliver(self, tick: int) -> None:
        """The handler starts: EE goes off. An edge line falls with it, a level line stays with DECR's sign."""
        due = self.pending if self.pending is not None else self.line
        assert due is not None
        self.pending = None
        self.delivered += 1
        self.worst_late = max(self.worst_late, tick - due)
        if self.record is not None:
            self.record.raise_(INTERRUPT, tick, due)
        to_step, to_unmask = self.guest.interrupted()
        entry = self.guest.entry
        if entry is not None and entry[0] < to_step:
            self.step_at, self.entering = tick + entry[0], to_step - entry[0]
        else:
            self.step_at, self.entering = min(tick + to_step, NEVER), 0
        # one tick at least, or a handler that takes no time and writes nothing would be entered for ever
        self.unmask_at = tick + max(to_unmask, 1)

    # -- crossing -----------------------------------------------------------------------------------------------

    def time_state(self) -> DecrementerState:
        """What a strategy may save of this CPU."""
        return DecrementerState(self.decrementer, self.pending, self.line)

    def load_time(self, timebase: Timebase, state: DecrementerState, now: int) -> None:
        """Take over what a strategy restored; ``now``: the first tick to be lived through on ``timebase``."""
        self.timebase, self.now = timebase, now
        self.decrementer, self.pending, self.line = state.decrementer, state.pending, state.line
        self.due = self.decrementer.due(self.model) if self.decrementer.armed else NEVER

    def registers(self) -> dict[str, Any]:
        """What the guest was about to do, in ticks from now: progress of execution, not of time."""
        return {
            "entering": self.entering,
            "step_in": -1 if self.step_at >= NEVER else self.step_at - self.now,
            "unmask_in": max(self.unmask_at - self.now, 0),
            "mask_in": -1 if self.mask_at >= NEVER else self.mask_at - self.now,
            "guest": self.guest.save(),
        }

    def load_registers(self, saved: dict[str, Any]) -> None:
        """Go on, at ``now``, from what :meth:`registers` gave."""
        self.step_at = NEVER if saved["step_in"] < 0 else self.now + saved["step_in"]
        self.entering = saved["entering"]
        self.unmask_at = self.now + saved["unmask_in"]
        self.mask_at = NEVER if saved["mask_in"] < 0 else self.now + saved["mask_in"]
        self.guest.load(saved["guest"])
