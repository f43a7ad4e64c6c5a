"""At what frequency a log shows the timebase to tick."""

from __future__ import annotations

from typing import Final

from livemig.events.qemu.roles import Roles

KNOWN_HZ: Final = (16_600_000, 25_000_000, 33_333_333, 100_000_000, 512_000_000)
"""Those of QEMU's machines."""
_LEAST_US: Final = 100_000
_MASK64: Final = (1 << 64) - 1


def measured_hz(who: Roles, begin_us: int, end_us: int) -> tuple[int, int] | None:
    """The slope of TB over the host's clock between two instants, in Hz, and over how many microseconds."""
    best: tuple[int, int] | None = None
    for thread in who.vcpus:
        readings = thread.tb.between(begin_us, end_us)
        if len(readings) < 2:
            continue
        first, last = readings[0], readings[-1]
        span = last.t_us - first.t_us
        if span > 0 and (best is None or span > best[1]):
            best = (last.value - first.value & _MASK64) * 1_000_000 // span, span
    return best


def known_hz(measured: tuple[int, int] | None, per_cent: int = 1) -> int | None:
    """The known frequency that was measured, so exactly; None if it is none of them."""
    if measured is None:
        return None
    return next((hz for hz in KNOWN_HZ if abs(measured[0] - hz) * 100 < hz * per_cent), None)


def on_the_destination(who: Roles, hz: int, begin_us: int, end_us: int) -> int:
    """The destination's, where its guest reads TB: ``hz``, the source's, unless it clearly ticks at another that is
    known, as that of another release of QEMU may."""
    measured = measured_hz(who, begin_us, end_us)
    if measured is None or measured[1] < _LEAST_US or abs(measured[0] - hz) * 5 < hz:
        return hz
    return known_hz(measured, per_cent=10) or hz
