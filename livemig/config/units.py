"""Quantities written with their unit: "1.5ms" is 1 500 000 ns, exactly, and back.

A quantity is held as a whole number of its dimension's base unit (ns, B, Hz, bit/s, B/s). Text is read in
rational arithmetic: "1.5ns" is no whole number of ns, and an error, never a rounding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from livemig.config.shown import shown

# The bound on digits keeps arithmetic on hostile input cheap; 10^24 is beyond any range of the configuration.
_QUANTITY: Final = re.compile(r"([+-]?[0-9]{1,24}(?:\.[0-9]{1,24})?) ?([A-Za-z/]*)")


@dataclass(frozen=True, slots=True)
class Dimension:
    """What units measure.

    Args:
        name: as documentation calls it.
        scales: unit → how many base units it is, the base unit first (it is 1), ascending.
    """

    name: str
    scales: Mapping[str, int]

    @property
    def base(self) -> str:
        """The unit that integers of this dimension count."""
        return next(iter(self.scales))

    def parse(self, text: str) -> int:
        """The quantity that ``text`` says, in base units. Raises ValueError, which says what is wrong."""
        match = _QUANTITY.fullmatch(text)
        if match is None:
            raise ValueError(f"{shown(text)} is not a number with a unit")
        number, unit = match.groups()
        if unit not in self.scales:
            raise ValueError(f"{shown(text)} has no unit of {self.name}")
        value = Fraction(number) * self.scales[unit]
        if value.denominator != 1:
            raise ValueError(f"{shown(text)} is not a whole number of {self.base}")
        return value.numerator

    def format(self, value: int) -> str:
        """``value`` base units as text that ``parse`` reads back to the same.

        The unit is the largest one that is not above the value and in which it has at most three decimals.
        """
        size = abs(value)
        unit = self.base
        for larger, scale in self.scales.items():
            if size >= scale and size * 1000 % scale == 0:
                unit = larger
        whole, rest = divmod(size, self.scales[unit])
        thousandths = rest * 1000 // self.scales[unit]
        decimals = f".{thousandths:03}".rstrip("0") if thousandths else ""
        return f"{'-' if value < 0 else ''}{whole}{decimals}{unit}"


TIME: Final = Dimension(
    "time",
    {
        "ns": 1,
        "us": 1_000,
        "ms": 1_000_000,
        "s": 1_000_000_000,
        "min": 60_000_000_000,
        "h": 3_600_000_000_000,
    },
)
SIZE: Final = Dimension("size", {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30})
FREQUENCY: Final = Dimension("frequency", {"Hz": 1, "kHz": 1_000, "MHz": 1_000_000, "GHz": 1_000_000_000})
LINK_RATE: Final = Dimension(
    "link rate",
    {"bit/s": 1, "kbit/s": 1_000, "Mbit/s": 1_000_000, "Gbit/s": 1_000_000_000, "Tbit/s": 1_000_000_000_000},
)
BYTE_RATE: Final = Dimension("byte rate", {"B/s": 1, "KiB/s": 1 << 10, "MiB/s": 1 << 20, "GiB/s": 1 << 30})

DIMENSIONS: Final = (TIME, SIZE, FREQUENCY, LINK_RATE, BYTE_RATE)
