"""The decrementer: a down counter at the timebase's frequency whose underflow raises an interrupt.

QEMU ``hw/ppc/ppc.c`` ``__cpu_ppc_store_decr``, in the generation of 8.2 and stable 7.2.7: the expiry is kept in
ticks, the stored value is always kept, the timer rounds up. Where QEMU and the architecture book differ there is a
switch in :class:`DecrementerModel`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import cached_property
from typing import NamedTuple

from livemig.timers.ticks import NEVER, sign_extend

RESET_VALUE = 0xFFFFFFFF
"""What QEMU writes into DECR when the machine starts (``cpu_ppc_set_tb_clk``)."""


class Line(Enum):
    """What a write does to the CPU's interrupt line."""

    KEEP = "keep"
    RAISE = "raise"
    LOWER = "lower"


class Reset(StrEnum):
    """The start-up decrementer, by QEMU's version and machine.

    ``CLOCK``: 0xffffffff at tick 0; an edge CPU's timer runs, a level CPU's was never started (up to 8.1).
    ``EXPIRED``: all ones over 64 bits, never started (since 8.2 where the machine resets the timers before the CPU:
    g3beige). ``RAISED``: the same, and its interrupt is up (after the CPU: pseries, powernv). ``ZERO``: 0 at tick 0,
    never started (10.0 on mac99, whose reset leaves the timers alone).
    """

    CLOCK = "clock"
    EXPIRED = "expired"
    RAISED = "raised"
    ZERO = "zero"


@dataclass(frozen=True)
class DecrementerModel:
    """How a machine's decrementer behaves.

    Args:
        bits: width, 32, or up to 56 with LPCR[LD] (POWER9 and later); reads sign-extend.
        level: the line follows the sign bit (Book3S, POWER); else only its 0→1 edge raises (6xx, 7xx).
        small_values_raise: a written value below 3 raises at once (QEMU up to 8.1).
        underflow_lag: ticks after DECR reads 0 at which it underflows: 0 as QEMU's timer has it, 1 by the book
            (DECR reads -1, its sign bit has just turned).
        reset: what it is at power-on.
        wraps: it acts on going from its most negative value to its greatest: a level's line falls, as the sign bit is
            0 again, and the underflow 2^(bits - 1) ticks later raises as the first one did (the book). Else it reads
            so, and nothing happens until it is written (QEMU's TCG).
    """

    bits: int = 32
    level: bool = False
    small_values_raise: bool = False
    underflow_lag: int = 0
    reset: Reset = Reset.CLOCK
    wraps: bool = False

    @cached_property
    def mask(self) -> int:
        """All ones over the width."""
        return (1 << self.bits) - 1

    @cached_property
    def half(self) -> int:
        """The sign bit: values from here on are negative."""
        return 1 << (self.bits - 1)


class Decrementer(NamedTuple):
    """``expiry``: the tick, on :meth:`Timebase.ticks`, at which DECR reads 0. ``armed``: it will underflow yet."""

    expiry: int
    armed: bool

    def read(self, model: DecrementerModel, ticks: int) -> int:
        """DECR at ``ticks``, signed, as ``mfdec`` and a sign extension give it."""
        return sign_extend(self.expiry - ticks, model.bits)

    def due(self, model: DecrementerModel) -> int:
        """The tick at which it underflows, if it is armed."""
        return self.expiry + model.underflow_lag

    def happens(self, model: DecrementerModel) -> int:
        """The tick at which it does something by itself: it underflows, or, having done so, goes round; or NEVER."""
        if self.armed:
            return self.due(model)
        return self.expiry + model.half + 1 if model.wraps else NEVER


def store(model: DecrementerModel, old: Decrementer, ticks: int, value: int) -> tuple[Decrementer, Line]:
    """``mtdec`` of ``value`` at ``ticks``: the new decrementer, and what happens to the interrupt line.

    A value whose sign bit is set raises at once on a level CPU, and on an edge CPU if the old value was not
    negative; then no timer is started (as QEMU). Otherwise the value counts down *unsigned*: a negative value
    written over a negative one takes nearly 2^bits ticks, which is how QEMU 10 loses a masked interrupt.
    """
    value &= model.mask
    negative = value >= model.half
    rises = negative and (model.level or old.read(model, ticks) >= 0)
    if rises or (model.small_values_raise and value < 3):
        over = model.mask + 1 if negative and model.wraps else 0  # it read 0 in the past
        return Decrementer(ticks + value - over, armed=False), Line.RAISE
    lowers = model.level and not negative
    return Decrementer(ticks + value, armed=True), Line.LOWER if lowers else Line.KEEP


def underflows(model: DecrementerModel, old: Decrementer) -> Decrementer:
    """After the timer has run out: it keeps counting below zero, and raises no more until it is written, or has gone
    round where that matters."""
    return Decrementer(old.expiry, armed=False)


def goes_round(model: DecrementerModel, old: Decrementer) -> Decrementer:
    """Its sign bit has turned 0 by itself: it counts down to the next underflow."""
    return Decrementer(old.expiry + model.mask + 1, armed=True)


def at_reset(model: DecrementerModel) -> Decrementer:
    """The start-up decrementer, where ticks begin at 0 (:class:`Reset`).

    ``CLOCK`` on a level CPU: the sign bit raises at once, the CPU reset clears that again, and no timer is started:
    it never comes (QEMU 7.2 on pseries).
    """
    match model.reset:
        case Reset.CLOCK:
            armed = not model.level or model.half > RESET_VALUE
            over = model.mask + 1 if model.wraps and not armed else 0
            return Decrementer(RESET_VALUE - over, armed)
        case Reset.ZERO:
            return Decrementer(0, armed=False)
        case _:
            return Decrementer(-1, armed=False)
