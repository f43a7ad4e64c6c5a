"""Ticks of the timebase and nanoseconds, in integers; the rounding is in the name."""

from __future__ import annotations

from typing import Final

NS_PER_S: Final = 1_000_000_000


def signed(value: int, bits: int) -> int:
    """The low ``bits`` of ``value`` as a two's complement number."""
    sign = 1 << (bits - 1)
    return ((value & ((sign << 1) - 1)) ^ sign) - sign


def ns_up(ticks: int, hz: int) -> int:
    """Nanoseconds until so many ticks have passed."""
    return -(-ticks * NS_PER_S // hz)


def ticks_down(ns: int, hz: int) -> int:
    """Whole ticks in ``ns``."""
    return ns * hz // NS_PER_S
