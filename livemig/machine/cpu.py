"""One CPU: its timers with their interrupt lines, MSR[EE], and the guest that runs on it.

Everything a CPU does happens at tick edges of its timebase, so its timeline is counted in ticks. At one tick the
order is: the guest's steps, EE on, the guest's own masking, the timers that fall due; then delivery. That order is
part of the model: what the CPU does comes before what its timers do. Among timers it is their order in the facility,
for delivery that of :attr:`TimerFacility.priority`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from livemig.guests.guest import Expectation, Guest, TickGuest
from livemig.machine import train
from livemig.machine.record import COALESCED, GUEST, INTERRUPT, MASKED, RELOAD, RESET, Record
from livemig.machine.slot import Masking, Slot
from livemig.timers.book3s import Book3S
from livemig.timers.decrementer import Decrementer, Line
from livemig.timers.facility import Change, TimerFacility, Timers
from livemig.timers.ticks import MASK64, NEVER
from livemig.timers.timebase import Timebase


@dataclass(frozen=True, slots=True)
class TimerState:
    """A timer with its interrupt: ``pending`` and ``line`` are the ticks at which it fell due."""

    count: Decrementer
    pending: int | None = None
    line: int | None = None

    def shifted(self, ticks: int) -> TimerState:
        """The same on a timebase whose ticks count from so much earlier."""
        pending, line = (None if tick is None else tick + ticks for tick in (self.pending, self.line))
        return TimerState(self.count._replace(expiry=self.count.expiry + ticks), pending, line)


class Cpu:
    """``now``: the first tick that has not been lived through. ``record``: what it did, or None to keep nothing."""

    def __init__(
        self, index: int, facility: TimerFacility, timebase: Timebase, guest: Guest, masking: Masking | None = None
    ) -> None:
        self.index, self.facility, self.timebase, self.guest = index, facility, timebase, guest
        self.masking = masking or Masking()
        self.record: Record | None = Record()
        self.delivered = 0
        self.worst_late = 0
        self.now = 0
        fresh = facility.at_reset()
        self.spr = fresh.spr
        self.slots = [
            Slot(i, timer, count) for i, (timer, count) in enumerate(zip(facility.timers, fresh.counts, strict=True))
        ]
        self.main = self.slots[0]
        self._by_priority = [self.slots[i] for i in facility.priority]
        self.known: Timers | None = None
        """The state of the timers, if it has been put together since it changed last."""
        self._alone = len(self.slots) == 1
        self._trains = self._alone and isinstance(facility, Book3S) and isinstance(guest, TickGuest)
        self.unmask_at = 0
        """The tick at which MSR[EE] goes on; it is on from there."""
        self.own_unmask_at = 0
        """The same for the interrupts that EE does not mask."""
        self.mask_at = NEVER
        self.thread_at = NEVER
        """The tick at which the guest's thread goes on, beside its handlers, which hold it up."""
        self._reloaded: list[tuple[int, int, int]] = []
        self._held: list[Slot] = []
        self.blocked_at: int | None = None
        """Since this tick the guest does not execute here, for a page of its memory is missing; its timers count."""
        self._first: list[Callable[[int], None]] = []
        """What is to be done at the first tick that it lives: the machine acts between ticks."""
        self.reset: str | None = None
        """A watchdog asks for a reset of the machine, of this kind."""

    # -- life ---------------------------------------------------------------------------------------------------

    def power_on(self, now: int) -> None:
        """At tick ``now``: the start-up values are programmed, nothing runs."""
        self._start(now, self.facility.at_reset(now, self._tb(now)))
        self._say_started(now)

    def restart(self, now: int, kind: str) -> None:
        """A reset of the machine at tick ``now``, of ``kind``: as power-on, but for what the facility keeps."""
        self._start(now, self.facility.reset(self._timers(), kind, now, self._tb(now)))
        self._first = [self._say_started]

    def _start(self, now: int, fresh: Timers) -> None:
        self.now = self.unmask_at = self.own_unmask_at = now
        self.blocked_at = None if self.blocked_at is None else now
        self.mask_at, self.thread_at, self.reset, self.spr = NEVER, NEVER, None, fresh.spr
        for slot, count in zip(self.slots, fresh.counts, strict=True):
            slot.step_at, slot.entering, slot.pending, slot.line = NEVER, 0, None, None
            self._count(slot, count)

    def _say_started(self, tick: int) -> None:
        raised = self.facility.raised_at_reset()
        for slot in self.slots:
            due = tick if slot.index in raised else self.promised(slot)
            if self.record is not None and (slot is self.main or due < NEVER):
                value = self.facility.reading(slot.index, slot.count, tick)
                value &= (1 << self.facility.timers[slot.index].bits) - 1
                self.record.arm(tick, value, due if due < NEVER else -1, RESET, slot.index)
            if slot.index in raised:
                self._raise(slot, tick, tick)

    def boot(self) -> None:
        """The guest starts to run."""
        first = min(self.now + self.guest.boot(), NEVER)
        if self.guest.has_thread:
            self.thread_at = first
        else:
            self.main.step_at = first
        self.mask_at = min(self.now + self.masking.every, NEVER)

    def block(self) -> None:
        """From ``now`` on nothing is executed: no step, no end of a handler, no delivery. Timers fall due as ever."""
        self.blocked_at = self.now

    def unblock(self) -> None:
        """Execution goes on, all that was to come of it later by as long as it stood; what fell due is delivered."""
        assert self.blocked_at is not None
        stood = self.now - self.blocked_at
        for slot in self.slots:
            if slot.step_at < NEVER:
                slot.step_at += stood
        self.mask_at += stood if self.mask_at < NEVER else 0
        self.thread_at += stood if self.thread_at < NEVER else 0
        self.unmask_at += stood if self.unmask_at > self.blocked_at else 0
        self.own_unmask_at += stood if self.own_unmask_at > self.blocked_at else 0
        self.blocked_at = None

    def run(self, until: int) -> None:
        """Live through every tick before ``until``."""
        if self._first and self.now < until:
            for act in self._first:
                act(self.now)
            self._first.clear()
        while self.now < until:
            if self.reset is not None:  # nothing is done any more until the machine is reset
                self.now = until
                return
            if self._trains and self._steady():
                train.run(self, min(until, self.mask_at))
            tick = max(self.now, self._next())
            if tick >= until:
                self.now = until
                return
            self.now = tick
            self._live(tick)

    def _live(self, tick: int) -> None:
        if self.blocked_at is None:
            self._execute(tick)
        for slot in self.slots:
            if slot.due <= tick and self.reset is None:
                self._apply(tick, self.facility.expire(self._timers(), slot.index, tick, self._tb(tick)))
        if self.blocked_at is None:
            for slot in self._by_priority:
                raised = slot.pending is not None or slot.line is not None
                if raised and self._unmasks(slot) <= tick and self.reset is None:
                    self.deliver(slot, tick)
            if self._held:
                self._mask_held(tick)
        if self._reloaded and self.record is not None:
            for index, value, due in self._reloaded:  # after the delivery of what they follow
                self.record.arm(tick, value, due, RELOAD, index)
        self._reloaded.clear()

    def _mask_held(self, tick: int) -> None:
        """What was raised while the CPU stood, and waits on at the end of it: from here on the guest masks it."""
        for slot in self._held:
            if slot.pending is not None and self.record is not None:
                self.record.raise_(MASKED, tick, slot.pending, slot.index)
        self._held.clear()

    def _execute(self, tick: int) -> None:
        for slot in self.slots:
            if slot.step_at <= tick:
                self._step(slot, tick)
        while self.thread_at <= tick:
            self._proceed(tick)
        if self.mask_at <= tick:
            self.mask_at = tick + self.masking.every
            self.unmask_at = max(self.unmask_at, tick + self.masking.length)

    def _next(self) -> int:
        """The next tick at which anything happens."""
        if self.blocked_at is not None:
            return min(slot.due for slot in self.slots)
        tick = min(self.mask_at, self.thread_at)
        for slot in self.slots:
            if slot.step_at < tick:
                tick = slot.step_at
            if slot.due < tick:
                tick = slot.due
            if slot.pending is not None or slot.line is not None:
                unmask_at = self.unmask_at if slot.ee else self.own_unmask_at
                if unmask_at < tick:
                    tick = unmask_at
        return tick

    def _steady(self) -> bool:
        """Nothing to come before the guest masks but the decrementer's next underflow, and its handler writes once."""
        main = self.main
        return (
            self.blocked_at is None
            and main.count.armed
            and main.due != NEVER
            and main.due >= self.now
            and main.step_at == self.thread_at == NEVER
            and main.pending is None
            and main.line is None
            and self.unmask_at <= main.due
        )

    def _unmasks(self, slot: Slot) -> int:
        return self.unmask_at if slot.ee else self.own_unmask_at

    def _tb(self, tick: int) -> int:
        return self.timebase.value + tick & MASK64

    def earliest_reset(self) -> int:
        """The tick before which no watchdog of this CPU resets the machine; NEVER if none can. Where the guest's next
        act may change that, it is not later than that act."""
        timers = self._timers()
        tick = self.facility.earliest_reset(timers)
        return min(tick, self._next()) if self.facility.may_arm_watchdog(timers) else tick

    def _timers(self) -> Timers:
        if self.known is None:
            self.known = Timers(tuple([slot.count for slot in self.slots]), self.spr)
        return self.known

    def read(self, register: str, tick: int) -> int:
        """``mfspr`` of one of the timers' registers at ``tick``."""
        return self.facility.read(self._timers(), register, tick, self._tb(tick))

    def _step(self, slot: Slot, tick: int) -> None:
        if slot.entering:
            assert self.guest.entry is not None
            slot.step_at, slot.entering = tick + slot.entering, 0
            self.write(tick, self.guest.main, self.guest.entry[1])
            return
        writes, following = self.guest.act(slot.index, self._tb(tick), lambda register: self.read(register, tick))
        slot.step_at = min(tick + following, NEVER)
        for register, value in writes:
            self.write(tick, register, value)

    def _proceed(self, tick: int) -> None:
        act, following = self.guest.proceed(lambda register: self.read(register, tick))
        self.thread_at = min(tick + following, NEVER)
        if isinstance(act, Expectation):
            if self.record is not None:
                self.record.expect(tick, act)
        elif act is not None:
            self.write(tick, *act)

    def write(self, tick: int, register: str, value: int) -> None:
        """``mtspr`` at ``tick``, or ``mtmsr`` of ``ee`` or ``ce`` alone."""
        if register == "ee":
            self.unmask_at = tick if value else NEVER
            return
        if register == "ce":
            self.own_unmask_at = tick if value else NEVER
            return
        self._apply(tick, self.facility.write(self._timers(), register, value, tick, self._tb(tick)))

    def resumed(self) -> None:
        """Guest time goes on."""
        self._first.append(
            lambda tick: self._apply(tick, self.facility.resumed(self._timers(), tick, self._tb(tick)))
        )

    def write_timebase(self, clock_ns: int, value: int) -> None:
        """``mttb`` at ``clock_ns`` of the virtual clock."""
        self.timebase = self.timebase.written(clock_ns, value)
        self._first.append(
            lambda tick: self._apply(tick, self.facility.timebase_written(self._timers(), tick, self._tb(tick)))
        )

    def promised(self, slot: Slot) -> int:
        """The tick at which its interrupt will be raised; NEVER if it will not."""
        return self.facility.promised(self._timers(), slot.index)

    def _apply(self, tick: int, change: Change) -> None:
        self.spr = change.state.spr
        for slot, count in zip(self.slots, change.state.counts, strict=True):
            if slot.count is not count:
                self._count(slot, count)
        self.known = change.state
        self.reset = self.reset or change.reset
        for effect in change.effects:
            slot = self.slots[effect.timer]
            if effect.wrote is not None and self.record is not None:
                # a write that raises at once is due at once
                promised = tick if effect.line is Line.RAISE else self.facility.promised(change.state, effect.timer)
                due = promised if promised < NEVER else -1
                if effect.reloaded:
                    self._reloaded.append((effect.timer, effect.wrote, due))
                else:
                    self.record.arm(tick, effect.wrote, due, GUEST, slot.index)
            if effect.line is Line.LOWER:
                slot.pending = slot.line = None
            elif effect.line is Line.RAISE:
                self._raise(slot, tick, effect.due)

    def _count(self, slot: Slot, count: Decrementer) -> None:
        slot.count, self.known = count, None
        slot.due = self.facility.due(slot.index, count)

    def _raise(self, slot: Slot, tick: int, due: int) -> None:
        coalesced = slot.pending is not None
        if not coalesced:
            slot.pending = due
        if slot.level:
            slot.line = due
        if self.record is not None:
            if coalesced:
                self.record.raise_(COALESCED, tick, due, slot.index)
            elif self._unmasks(slot) > (tick if self.blocked_at is None else self.blocked_at):
                self.record.raise_(MASKED, tick, due, slot.index)
            elif self.blocked_at is not None:
                self._held.append(slot)

    def deliver(self, slot: Slot, tick: int) -> None:
        """The handler starts: EE goes off. An edge line falls with it, a level line stays with its cause."""
        due = slot.raised
        assert due is not None
        slot.pending = None
        others = () if self._alone else self.slots
        held_up = [other for other in others if other.pending is not None and self._unmasks(other) <= tick]
        self.delivered += 1
        self.worst_late = max(self.worst_late, tick - due)
        if self.record is not None:
            self.record.raise_(INTERRUPT, tick, due, slot.index)
        to_step, to_unmask = self.guest.interrupted(slot.index)
        entry = self.guest.entry
        if entry is not None and slot is self.main and entry[0] < to_step:
            slot.step_at, slot.entering = tick + entry[0], to_step - entry[0]
        else:
            slot.step_at, slot.entering = min(tick + to_step, NEVER), 0
        # one tick at least, or a handler that takes no time and writes nothing would be entered for ever
        unmask_at = tick + max(to_unmask, 1)
        self.unmask_at = max(self.unmask_at, unmask_at)
        if not slot.ee:
            self.own_unmask_at = unmask_at
        if self.thread_at < NEVER:
            self.thread_at += unmask_at - tick
        for other in held_up:  # it could have been delivered, but for this one
            if self.record is not None and other.pending is not None and self._unmasks(other) > tick:
                self.record.raise_(MASKED, tick, other.pending, other.index)

    # -- crossing -----------------------------------------------------------------------------------------------

    def time_state(self) -> tuple[TimerState, ...]:
        """What a strategy may save of this CPU."""
        return tuple(TimerState(slot.count, slot.pending, slot.line) for slot in self.slots)

    def load_time(self, timebase: Timebase, states: Sequence[TimerState], now: int) -> None:
        """Take over what a strategy restored; ``now``: the first tick to be lived through on ``timebase``."""
        self.timebase, self.now = timebase, now
        for slot, state in zip(self.slots, states, strict=True):
            slot.pending, slot.line = state.pending, state.line
            self._count(slot, state.count)

    def registers(self) -> dict[str, Any]:
        """What the guest was about to do, in ticks from now: progress of execution, not of time."""
        now = self.now
        return {
            "entering": [slot.entering for slot in self.slots],
            "step_in": [-1 if slot.step_at >= NEVER else slot.step_at - now for slot in self.slots],
            "unmask_in": [-1 if at >= NEVER else max(at - now, 0) for at in (self.unmask_at, self.own_unmask_at)],
            "mask_in": -1 if self.mask_at >= NEVER else self.mask_at - now,
            "spr": list(self.spr),
            "guest": self.guest.save(),
        } | ({"thread_in": -1 if self.thread_at >= NEVER else self.thread_at - now} if self.guest.has_thread else {})

    def load_registers(self, saved: dict[str, Any]) -> None:
        """Go on, at ``now``, from what :meth:`registers` gave."""
        now = self.now
        for slot, step_in, entering in zip(self.slots, saved["step_in"], saved["entering"], strict=True):
            slot.step_at = NEVER if step_in < 0 else now + step_in
            slot.entering = entering
        to_come = *saved["unmask_in"], saved["mask_in"], saved.get("thread_in", -1)
        self.unmask_at, self.own_unmask_at, self.mask_at, self.thread_at = (
            NEVER if ticks < 0 else now + ticks for ticks in to_come
        )
        self.spr, self.known = tuple(saved["spr"]), None
        self.guest.load(saved["guest"])
