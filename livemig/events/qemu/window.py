"""A number of which a log shows only between which two it is."""

from __future__ import annotations

from typing import Final, NamedTuple

FAR: Final = 1 << 80
"""Beyond any number in a log: that side is open."""


class Window(NamedTuple):
    """Not below ``low``, not above ``high``; a point where they are equal."""

    low: int = -FAR
    high: int = FAR

    @property
    def known(self) -> bool:
        """Closed on both sides."""
        return self.low > -FAR and self.high < FAR

    @property
    def exact(self) -> bool:
        return self.low == self.high

    @property
    def middle(self) -> int:
        """A number in it: the bound, where one side is open."""
        if self.low <= -FAR:
            return 0 if self.high >= FAR else self.high
        return self.low if self.high >= FAR else (self.low + self.high) // 2

    def plus(self, ticks: int) -> Window:
        """Shifted; an open side stays open."""
        low = self.low if self.low <= -FAR else self.low + ticks
        return Window(low, self.high if self.high >= FAR else self.high + ticks)

    def less(self, other: Window) -> Window:
        """What this minus a number in ``other`` may be."""
        low = -FAR if self.low <= -FAR or other.high >= FAR else self.low - other.high
        return Window(low, FAR if self.high >= FAR or other.low <= -FAR else self.high - other.low)

    def widened(self, ticks: int) -> Window:
        return self.plus(-ticks)._replace(high=self.plus(ticks).high)

    def meet(self, other: Window) -> Window:
        """Where both are; ``low`` is above ``high`` if that is nowhere."""
        return Window(max(self.low, other.low), min(self.high, other.high))

    def gap(self, other: Window) -> int:
        """How far ``other`` is from this, signed; 0 if they meet."""
        if other.low > self.high:
            return other.low - self.high
        return min(other.high - self.low, 0)


OPEN: Final = Window()
"""Nothing is known."""


def point(value: int) -> Window:
    """Known exactly."""
    return Window(value, value)


def near(value: int, bits: int, where: int) -> int:
    """The number nearest to ``where`` whose low ``bits`` are those of ``value``."""
    half = 1 << (bits - 1)
    return where + ((value - where + half) % (1 << bits)) - half


def as_signed(window: Window, bits: int = 32) -> Window:
    """A closed one whose middle is a two's complement number of so many bits."""
    return window.plus(near(window.middle, bits, 0) - window.middle)
