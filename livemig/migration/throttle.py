"""Slowing the guest down until its memory can be sent: auto-converge, and a dirty limit per CPU.

QEMU looks at periods of at least a second (``migration_bitmap_sync``): where the guest wrote more than
``throttle-trigger-threshold`` per cent of what was sent, for the second time, it acts (``migration_trigger_throttle``).
"""

from __future__ import annotations

from fractions import Fraction

from livemig.migration.settings import Throttling

LOWEST, HIGHEST = 1, 99
"""Per cent (QEMU ``CPU_THROTTLE_PCT_MIN``, ``_MAX``)."""


class Throttle:
    """How much the guest is slowed down. ``percentage``: of CPU time taken away, 0 while it is not."""

    def __init__(self, settings: Throttling) -> None:
        self.percentage = 0
        self.limited = False
        """Each CPU writes no faster than ``vcpu_dirty_limit``."""
        self._settings = settings
        self._high = 0

    def adjust(self, settings: Throttling) -> None:
        """From now on other values hold."""
        self._settings = settings

    def period(self, dirtied: int, sent: int) -> bool:
        """A period has ended in which the guest wrote ``dirtied`` bytes of pages and ``sent`` bytes left.

        Returns:
            The guest is to be slowed down more than before.
        """
        settings = self._settings
        if not (settings.auto_converge or settings.dirty_limit):
            return False
        threshold = sent * settings.trigger_threshold // 100
        if dirtied <= threshold:
            return False
        self._high += 1
        if self._high < 2:
            return False
        self._high = 0
        if settings.dirty_limit:
            changed, self.limited = not self.limited, True
            return changed
        before, self.percentage = self.percentage, self._next(dirtied, threshold)
        return self.percentage != before

    def pace(self, write_rate: int, cpus: int) -> Fraction:
        """The share of ``write_rate`` (bytes a second, all ``cpus`` together, each as much) that the guest may keep."""
        if self.limited and write_rate > self._settings.vcpu_dirty_limit * cpus:
            return Fraction(self._settings.vcpu_dirty_limit * cpus, write_rate)
        return Fraction(100 - self.percentage, 100)

    def _next(self, dirtied: int, threshold: int) -> int:
        """QEMU ``mig_throttle_guest_down``, ``cpu_throttle_set``."""
        settings, now = self._settings, self.percentage
        if not now:
            return min(max(settings.initial, LOWEST), HIGHEST)
        increment = settings.increment
        if settings.tailslow:
            left = 100 - now
            increment = min(left - left * threshold // dirtied, increment)
        return min(max(min(now + increment, settings.maximum), LOWEST), HIGHEST)
