"""Fixed intervals: what falls due whenever a certain bit of the timebase turns from 0 to 1.

FIT and watchdog have no counter of their own (405 and e500 manuals, QEMU ``booke_update_fixed_timer``). Bits are
numbered from the lowest; bit *n* rises every 2^(n+1) ticks.
"""

from __future__ import annotations

from typing import Final

from livemig.timers.decrementer import Decrementer

FIT_40X: Final = (8, 12, 16, 20)
WATCHDOG_40X: Final = (16, 20, 24, 28)
FIT_440: Final = (12, 16, 20, 24)
WATCHDOG_440: Final = (20, 24, 28, 32)

_FAR: Final = 1 << 50
"""An interval that is not over within so many ticks is not timed: 13 days at 1 GHz."""


def to_rise(tb: int, bit: int) -> int:
    """Ticks from ``tb`` to the next rise of ``bit``, at least 1: a rise at ``tb`` itself has been."""
    period = 1 << bit
    return period - tb % period + (tb & period)


def count_to_rise(tick: int, tb: int, bit: int, least: int = 0) -> Decrementer:
    """A count to the next rise of ``bit`` as TB reads ``tb`` at ``tick``, but to ``least`` ticks from it at least."""
    return count(tick, max(to_rise(tb, bit), least))


def count(tick: int, ticks: int) -> Decrementer:
    """A count of ``ticks`` from ``tick`` on."""
    return Decrementer(tick + ticks, armed=True) if ticks < _FAR else Decrementer(tick, armed=False)
