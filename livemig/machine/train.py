"""Interrupt trains: a CPU on which nothing happens but decrementer, handler, decrementer, handler.

The same steps as :meth:`Cpu.run`, without the generality, for guests whose handlers are all alike. A guest whose
handler always writes the same value is known in closed form up to the barrier. ``tests/machine/test_train.py`` holds
both to :meth:`Cpu.run` event by event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from livemig.guests.guest import TickGuest
from livemig.machine.record import GUEST, INTERRUPT, Record, Train
from livemig.timers.book3s import Book3S
from livemig.timers.decrementer import Decrementer, DecrementerModel
from livemig.timers.ticks import MASK64, NEVER

if TYPE_CHECKING:
    from livemig.machine.cpu import Cpu

_LONGEST = 1 << 18
"""Interrupts in one piece: bounds memory."""
_AHEAD = 4096
"""Steps that a guest is asked for at a time, at most."""
_SHORT = 24
"""Up to so many interrupts, numpy's cost per call exceeds that of keeping each as a row."""


class Shape(NamedTuple):
    """What all handlers of a train have in common.

    ``gap``: from one delivery to the next if the step writes 0. ``least``, ``most``: values that the train survives:
    the next underflow is not before the handler's end, and the write raises nothing. ``decr``: what the step reads.
    """

    gap: int
    least: int
    most: int
    decr: int


def shape(model: DecrementerModel, guest: TickGuest) -> Shape | None:
    """None if the handler's entry write does not just put the decrementer off: no train then."""
    gap = guest.arm_ticks + model.underflow_lag
    least = max(max(guest.handler_ticks, 1) - gap, 3 if model.small_values_raise else 0)
    decr = -gap
    if guest.entry is not None and guest.entry[0] < guest.arm_ticks:
        ticks, value = guest.entry
        decr = value - (guest.arm_ticks - ticks)
        if value >= model.half or decr + model.underflow_lag <= 0 or (model.small_values_raise and value < 3):
            return None
    return Shape(gap, least, model.half - 1, decr)


def run(cpu: Cpu, until: int) -> None:
    """Deliver on time what falls due before ``until``, as long as each handler ends before the next underflow.

    Leaves ``cpu`` as :meth:`Cpu.run` would have, at the end of a handler.
    """
    guest, main = cpu.guest, cpu.main
    assert isinstance(guest, TickGuest)
    common = shape(_model(cpu), guest)
    if common is None:
        return
    end = until - max(guest.handler_ticks, 1)  # a delivery before it has its whole handler before `until`
    piece = _closed_form if guest.memoryless else _decided
    while main.due < end and (_told(cpu, guest, end, common) or piece(cpu, guest, end, common)):
        pass


def _model(cpu: Cpu) -> DecrementerModel:
    assert isinstance(cpu.facility, Book3S)
    return cpu.facility.decrementer


def _closed_form(cpu: Cpu, guest: TickGuest, end: int, common: Shape) -> bool:
    due = cpu.main.due
    value, following = guest.step(0, common.decr)
    if not common.least <= value <= common.most:
        _derail(cpu, guest, due, value, following, common)
        return False
    stride = common.gap + value
    count = min((end - 1 - due) // stride + 1, _LONGEST)
    if cpu.record is not None and count <= _SHORT:
        _keep_rows(cpu.record, due, [value] * count, guest, _model(cpu).underflow_lag, common.gap)
    elif cpu.record is not None:
        delivered = np.arange(due, due + count * stride, stride, dtype=np.int64)
        cpu.record.train(Train(cpu.record.seq, delivered, value, guest.arm_ticks, guest.entry))
    last = due + (count - 1) * stride
    _arrive(cpu, guest, last, last + stride, count)
    return True


def _told(cpu: Cpu, guest: TickGuest, end: int, common: Shape) -> bool:
    """As many as the guest tells beforehand and the train survives, at a stroke; False if those are few."""
    due = cpu.main.due
    expected = (end - due) // (common.gap + guest.typical + 1)
    if expected <= 2 * _SHORT or (values := guest.ahead(min(expected * 5 // 4, _AHEAD))) is None:
        return False
    dues = due + np.cumsum(values + common.gap)
    odd = np.flatnonzero((values < common.least) | (values > common.most) | (dues - values - common.gap >= end))
    count = int(odd[0]) if len(odd) else len(values)
    if count <= _SHORT:
        return False
    values = values[:count]
    delivered = np.empty_like(values)
    delivered[0], delivered[1:] = due, dues[: count - 1]
    if cpu.record is not None:
        cpu.record.train(Train(cpu.record.seq, delivered, values, guest.arm_ticks, guest.entry))
    guest.taken(count)
    _arrive(cpu, guest, int(delivered[-1]), int(dues[count - 1]), count)
    return True


def _decided(cpu: Cpu, guest: TickGuest, end: int, common: Shape) -> bool:
    gap, least, most, decr = common
    step = guest.step
    first = due = last = cpu.main.due
    tb = cpu.timebase.value + guest.arm_ticks
    values: list[int] = []
    note = values.append
    steady = True
    while due < end:
        value, following = step(tb + due & MASK64, decr)
        if following != NEVER or not least <= value <= most:
            steady = False
            break
        note(value)
        last = due
        due += gap + value
    if values:
        if cpu.record is not None and len(values) <= _SHORT:
            _keep_rows(cpu.record, first, values, guest, _model(cpu).underflow_lag, gap)
        elif cpu.record is not None:
            written = np.array(values, np.int64)
            delivered = np.empty_like(written)
            delivered[0] = first
            np.cumsum(written[:-1] + gap, out=delivered[1:])
            delivered[1:] += first
            cpu.record.train(Train(cpu.record.seq, delivered, written, guest.arm_ticks, guest.entry))
        _arrive(cpu, guest, last, due, len(values))
    if not steady:
        _derail(cpu, guest, due, value, following, common)
    return steady


def _keep_rows(record: Record, due: int, values: list[int], guest: TickGuest, lag: int, gap: int) -> None:
    """The train whose first interrupt is at ``due``, row by row."""
    arm_ticks, entry = guest.arm_ticks, guest.entry
    early = entry if entry is not None and entry[0] < arm_ticks else None
    for value in values:
        record.raise_(INTERRUPT, due, due, 0)
        if early is not None:
            ticks, wrote = early
            record.arm(due + ticks, wrote, due + ticks + wrote + lag, GUEST, 0)
        armed = due + arm_ticks
        record.arm(armed, value, armed + value + lag, GUEST, 0)
        due += gap + value


def _arrive(cpu: Cpu, guest: TickGuest, last: int, due: int, count: int) -> None:
    """The state after ``count`` deliveries, the last at tick ``last``, the next at ``due``."""
    cpu.delivered += count
    cpu.main.count, cpu.known = Decrementer(due - _model(cpu).underflow_lag, True), None
    cpu.main.due = due
    cpu.unmask_at = last + max(guest.handler_ticks, 1)
    cpu.now = max(cpu.now, cpu.unmask_at)


def _derail(cpu: Cpu, guest: TickGuest, tick: int, value: int, following: int, common: Shape) -> None:
    """Deliver at ``tick``; what the handler's step gave (``value``, ``following``) ends the train."""
    main, model = cpu.main, _model(cpu)
    cpu.now = tick
    main.count, cpu.known = Decrementer(main.due - model.underflow_lag, False), None
    main.pending, main.due = main.due, NEVER
    main.line = main.pending if model.level else None
    cpu.deliver(main, tick)
    if main.entering:
        assert guest.entry is not None
        cpu.write(tick + guest.entry[0], guest.main, guest.entry[1])
        main.entering = 0
    cpu.now = tick + guest.arm_ticks
    main.step_at = min(cpu.now + following, NEVER)
    cpu.write(cpu.now, guest.main, value)
