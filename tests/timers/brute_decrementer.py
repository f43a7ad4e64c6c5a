"""A decrementer that is nothing but a register counted down tick by tick: the oracle for the real one.

Written from the rules (QEMU reference, section 3.2, and the architecture book), not from livemig's code.
"""

from __future__ import annotations


class TickByTick:
    """``register`` is unsigned. ``timer``: whether an underflow to come will be noticed. ``wraps``: what happens as the
    sign bit turns 0 by itself: a level's line goes down with it, and the underflow after it will be noticed."""

    def __init__(
        self, bits: int, level: bool, small: bool, at_minus_one: bool, register: int, timer: bool, wraps: bool = False
    ) -> None:
        self.size = 1 << bits
        self.sign = 1 << (bits - 1)
        self.level, self.small, self.at_minus_one = level, small, at_minus_one
        self.register, self.timer, self.wraps = register, timer, wraps
        self.line = False
        self.raised_at: list[int] = []
        self.now = 0

    @property
    def signed(self) -> int:
        return self.register - self.size if self.register & self.sign else self.register

    def _raise(self) -> None:
        self.line = True
        self.timer = False
        self.raised_at.append(self.now)

    def _notice(self) -> None:
        trigger = self.size - 1 if self.at_minus_one else 0
        if self.timer and self.register == trigger:
            self._raise()

    def tick(self) -> None:
        self.now += 1
        was_negative = bool(self.register & self.sign)
        self.register = (self.register - 1) % self.size
        if self.wraps and was_negative and not self.register & self.sign:
            self.timer = True
            if self.level:
                self.line = False
        self._notice()

    def write(self, value: int) -> None:
        value %= self.size
        was_negative = bool(self.register & self.sign)
        is_negative = bool(value & self.sign)
        self.register = value
        if self.level and not is_negative:
            self.line = False
        if (is_negative and (self.level or not was_negative)) or (self.small and value < 3):
            self._raise()
        else:
            self.timer = True
            # QEMU's timer for a stored 0 is due at once; the book's next underflow is one tick away
            if not self.at_minus_one:
                self._notice()
