"""Values that TOML holds in another form than the model: how a key reads them, and writes them back.

Used as ``Annotated`` metadata: pydantic calls ``parse``, ``as_toml_values`` calls ``plain``; documentation
and errors show ``range``.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any, Final

from pydantic_core import CoreSchema, core_schema

from livemig.config.shown import shown
from livemig.config.units import Dimension


@dataclass(frozen=True)
class Quantity:
    """Text with a unit in TOML, an ``int`` of base units in the model.

    Args:
        dimension: which units may be used.
        low, high: the range, both ends allowed, as text.
        step: the quantity is a multiple of this, as text; empty for any.
    """

    dimension: Dimension
    low: str
    high: str
    step: str = ""

    def parse(self, value: object) -> int:
        """Base units; ValueError says what is wrong with ``value``."""
        if not isinstance(value, str):
            raise ValueError(f"{shown(value)} is not a text with a unit")
        number = self.dimension.parse(value)
        low, high, step = self._bounds
        if not low <= number <= high:
            raise ValueError(f"{shown(value)} is out of range")
        if number % step:
            raise ValueError(f"{shown(value)} is not a multiple of {self.step}")
        return number

    @cached_property
    def _bounds(self) -> tuple[int, int, int]:
        low, high = self.dimension.parse(self.low), self.dimension.parse(self.high)
        return low, high, self.dimension.parse(self.step) if self.step else 1

    def plain(self, number: int) -> str:
        """The TOML value of ``number`` base units."""
        return self.dimension.format(number)

    @property
    def range(self) -> str:
        """What is allowed."""
        return f"{self.low} to {self.high}" + (f", a multiple of {self.step}" if self.step else "")

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)


AT_MOST: Final = "advance-at-most:"


@dataclass(frozen=True, slots=True)
class TimePolicy:
    """``advance``, ``freeze`` or ``advance-at-most:TIME``, as text in TOML and, in one way of writing it, in the model.

    Args:
        limit: of TIME.
    """

    limit: Quantity

    def parse(self, value: object) -> str:
        """The text; ValueError says what is wrong with ``value``."""
        if value in ("advance", "freeze"):
            return str(value)
        if not isinstance(value, str) or not value.startswith(AT_MOST):
            raise ValueError(f"{shown(value)} is not one of the policies")
        return AT_MOST + self.limit.plain(self.limit.parse(value.removeprefix(AT_MOST)))

    def plain(self, policy: str) -> str:
        """The TOML value."""
        return policy

    def at_most_ns(self, policy: str) -> int | None:
        """By how much guest time goes on over a pause at most; None: without limit."""
        if policy.startswith(AT_MOST):
            return self.limit.dimension.parse(policy.removeprefix(AT_MOST))
        return None if policy == "advance" else 0

    @property
    def range(self) -> str:
        """What is allowed."""
        return f"advance, freeze, advance-at-most:TIME with TIME from {self.limit.range}"

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)


@dataclass(frozen=True, slots=True)
class Ratio:
    """A TOML number in ``low`` to ``high`` of at most three decimals, an exact ``Fraction`` in the model."""

    low: Decimal
    high: Decimal

    def parse(self, value: object) -> Fraction:
        """The exact fraction; ValueError says what is wrong with ``value``."""
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise ValueError(f"{shown(value)} is not a number")
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        # The range before the Fraction: that of "1e999999999" would not fit into memory. NaN has no order.
        if number.is_nan() or not self.low <= number <= self.high:
            raise ValueError(f"{shown(value)} is out of range")
        fraction = Fraction(number)
        if 1000 % fraction.denominator:
            raise ValueError(f"{shown(value)} has more than three decimals")
        return fraction

    def plain(self, fraction: Fraction) -> float:
        """The TOML value: a float, which is written as the three decimals that it came from."""
        return float(fraction)

    @property
    def range(self) -> str:
        """What is allowed."""
        return f"{self.low} to {self.high}, at most three decimals"

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)
