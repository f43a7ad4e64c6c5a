"""Exact arithmetic between nanoseconds and ticks.

QEMU's ``muldiv64`` and ``muldiv64_round_up`` (``include/qemu/host-utils.h``), and the two conversions that
livemig uses everywhere. The rounding is chosen once, here: *time to ticks rounds down* (a tick counts when it is
complete), *ticks to time rounds up* (the first nanosecond at which that many ticks are complete). So for any
frequency up to 1 GHz ``ns_to_ticks(hz, ticks_to_ns(hz, n)) == n``: a deadline computed from ticks is never early,
and a DECR that is written reads back as written.
"""

from __future__ import annotations

from typing import Final

NS_PER_S: Final = 1_000_000_000
MASK64: Final = (1 << 64) - 1
NEVER: Final = 1 << 62
"""An instant (ns) that no run reaches, about 146 years."""


def muldiv64(a: int, b: int, c: int) -> int:
    """``floor(a * b / c)`` with an unbounded product, truncated to 64 bits (QEMU ``muldiv64``)."""
    return a * b // c & MASK64


def muldiv64_round_up(a: int, b: int, c: int) -> int:
    """``ceil(a * b / c)`` with an unbounded product, truncated to 64 bits (QEMU ``muldiv64_round_up``)."""
    return -(-a * b // c) & MASK64


def ns_to_ticks(hz: int, ns: int) -> int:
    """Whole ticks of ``hz`` in ``ns`` nanoseconds, rounded down (towards the past for negative ``ns``)."""
    return ns * hz // NS_PER_S


def ticks_to_ns(hz: int, ticks: int) -> int:
    """The first nanosecond at which ``ticks`` ticks of ``hz`` are complete: rounded up."""
    return -(-ticks * NS_PER_S // hz)


def sign_extend(value: int, bits: int) -> int:
    """The low ``bits`` bits of ``value`` read as a two's complement number."""
    sign = 1 << (bits - 1)
    return ((value & ((sign << 1) - 1)) ^ sign) - sign
