"""Ticks and nanoseconds, in integers only; every rounding is stated.

A timebase reading is its exact value rounded down. Over an interval of x exact ticks two such readings
therefore differ by ⌊x⌋ or ⌈x⌉, and by nothing else: an *error* here is the distance from those two, so that a
correct timebase has the error 0 whatever the frequency.
"""

from __future__ import annotations

from typing import Final

NS_PER_S: Final = 1_000_000_000


def signed(value: int, bits: int) -> int:
    """``value`` modulo 2^``bits`` as a two's complement number."""
    half = 1 << (bits - 1)
    return ((value + half) & ((1 << bits) - 1)) - half


def error_ticks(moved: int, ns: int, hz: int) -> int:
    """How far a counter at ``hz`` that ``moved`` so many ticks in ``ns`` is ahead (> 0) or behind (< 0)."""
    fewest, part = divmod(ns * hz, NS_PER_S)
    if moved < fewest:
        return moved - fewest
    return max(0, moved - fewest - (part > 0))


def to_ns(ticks: int, hz: int) -> int:
    """Nanoseconds of ``ticks``, rounded to the nearest."""
    return (2 * ticks * NS_PER_S + hz) // (2 * hz)


def to_ticks(ns: int, hz: int) -> int:
    """Ticks in ``ns``, rounded to the nearest: it undoes `to_ns` up to 1 GHz."""
    return (2 * ns * hz + NS_PER_S) // (2 * NS_PER_S)


def tick_ns(hz: int) -> int:
    """One tick in nanoseconds, rounded up."""
    return -(-NS_PER_S // hz)
