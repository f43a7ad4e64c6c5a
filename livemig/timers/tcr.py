"""TCR and TSR, the timer control and status registers of 40x and BookE CPUs: which bit is which.

Bits are numbered from the lowest, as QEMU's code does (``target/ppc/cpu.h``); the manuals number from the highest.
The bit that 40x manuals call PIE and PIS is DIE and DIS on BookE.
"""

from __future__ import annotations

from typing import Final

WIE: Final = 1 << 27
"""TCR: the watchdog's interrupt is enabled."""
DIE: Final = 1 << 26
"""TCR: that of the decrementer, or of the PIT (PIE)."""
FIE: Final = 1 << 23
"""TCR: that of the fixed interval timer."""
ARE: Final = 1 << 22
"""TCR: the decrementer or the PIT reloads itself."""
WRC: Final = 3 << 28
"""TCR: what the watchdog resets (:func:`watchdog_reset`)."""

ENW: Final = 1 << 31
"""TSR: the watchdog has timed out once, "enable next watchdog"."""
WIS: Final = 1 << 30
"""TSR: it has timed out twice: its interrupt."""
WRS: Final = 3 << 28
"""TSR: WRC at the last reset that the watchdog made."""
DIS: Final = 1 << 27
"""TSR: the decrementer or the PIT (PIS) has run out."""
FIS: Final = 1 << 26
"""TSR: the fixed interval is over."""

TCR_40X: Final = 0xFFC0_0000
"""Bits of TCR that a 40x has."""
TSR_40X: Final = 0xFC00_0000
"""Bits of TSR that a 40x has."""
WORD: Final = 0xFFFF_FFFF

_RESETS: Final = (None, "core", "chip", "system")


def watchdog_period(tcr: int) -> int:
    """WP: 0 … 3."""
    return tcr >> 30 & 3


def fit_period(tcr: int) -> int:
    """FP: 0 … 3."""
    return tcr >> 24 & 3


def watchdog_reset(tcr: int) -> str | None:
    """WRC in words: what is reset if the watchdog times out a third time; None for nothing."""
    return _RESETS[tcr >> 28 & 3]


def extended_watchdog_period(tcr: int) -> int:
    """WPEXT and WP of an e500: 0 … 63."""
    return (tcr >> 17 & 0xF) << 2 | watchdog_period(tcr)


def extended_fit_period(tcr: int) -> int:
    """FPEXT and FP of an e500: 0 … 63."""
    return (tcr >> 13 & 0xF) << 2 | fit_period(tcr)


def choosing(fit_bit: int, fit_bits: tuple[int, ...], watchdog_bit: int, watchdog_bits: tuple[int, ...]) -> int:
    """FP and WP, with FPEXT and WPEXT where there are no tables, that choose these bits of TB; the tables are by FP
    and WP. ValueError if a table has no such bit."""
    fit = fit_bits.index(fit_bit) if fit_bits else 63 - fit_bit
    watchdog = watchdog_bits.index(watchdog_bit) if watchdog_bits else 63 - watchdog_bit
    return (fit & 3) << 24 | fit >> 2 << 13 | (watchdog & 3) << 30 | watchdog >> 2 << 17


def resetting(kind: str) -> int:
    """WRC for ``none``, ``core``, ``chip`` or ``system``."""
    return ("none", *_RESETS[1:]).index(kind) << 28
