"""Quantities as people read them. Exact integers in, no float on the way."""

from __future__ import annotations

from collections.abc import Sequence

_TIME = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"))
_SIZE = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def _scaled(value: int, units: Sequence[tuple[int, str]], base: str) -> str:
    sign, size = ("-", -value) if value < 0 else ("", value)
    for unit, name in units:
        if size >= unit:
            whole, part = divmod(size * 1000 // unit, 1000)
            return f"{sign}{whole:,}" + f".{part:03}".rstrip("0").rstrip(".") + f" {name}"
    return f"{sign}{size} {base}"


def duration(ns: int) -> str:
    """``1500000`` → ``1.5 ms``; three decimals, rounded towards zero."""
    return _scaled(ns, _TIME, "ns") if ns else "0"


def instant(ns: int) -> str:
    """``1500000`` → ``0.0015 s``: a point in time, to the microsecond."""
    sign, ns = ("-", -ns) if ns < 0 else ("", ns)
    whole, part = divmod(ns // 1000, 1_000_000)
    return f"{sign}{whole:,}" + f".{part:06}".rstrip("0").rstrip(".") + " s"


def size(octets: int) -> str:
    """``1572864`` → ``1.5 MiB``."""
    return _scaled(octets, _SIZE, "B")


def plural(count: int, noun: str) -> str:
    """``2, "tick"`` → ``2 ticks``."""
    return f"{count:,} {noun}" + ("" if abs(count) == 1 else "s")
