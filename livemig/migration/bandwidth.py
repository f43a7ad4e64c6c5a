"""What the link gives, measured in windows, and what precopy may take of it.

QEMU's windows of 100 ms (``BUFFER_DELAY``, ``migration_update_counters``, ``migration_rate_limit``), with one
difference: where nothing limits the rate, a window ends with the pass if that is shorter, so that a small guest on a
fast link need not wait for one.
"""

from __future__ import annotations

from livemig.timers.ticks import NS_PER_S

WINDOW_NS = 100_000_000
_WORTH_A_LOOK = 10_000
"""Bytes in a window from which on QEMU takes the bandwidth for one."""


class Bandwidth:
    """Args: ``limit``: bytes a second, 0 for none. ``switchover``: what the last pass is taken to have, 0: as measured.

    Attributes:
        measured: bytes a second in the last whole window.
        pages_per_second: in the same window.
    """

    def __init__(self, limit: int = 0, switchover: int = 0) -> None:
        self.measured = 0
        self.pages_per_second = 0
        self._limit, self._switchover = limit, switchover
        self._began = 0
        self._bytes = 0
        self._pages = 0
        self._quota_began = 0
        self._used = 0

    def adjust(self, limit: int, switchover: int) -> None:
        """From now on other values hold."""
        self._limit, self._switchover = limit, switchover

    def begin(self, now: int) -> None:
        """The first window begins."""
        self._began = self._quota_began = now
        self._bytes = self._pages = self._used = 0

    @property
    def expected(self) -> int:
        """Bytes a second that the last pass is taken to have."""
        return self._switchover or self.measured

    def sent(self, size: int, pages: int) -> None:
        """So many bytes, and pages, were put on the wire."""
        self._bytes += size
        self._pages += pages
        self._used += size

    def look(self, now: int, pass_over: bool) -> bool:
        """End the window if it is time to.

        Returns:
            It has ended, and enough was sent in it to go by.
        """
        length = now - self._began
        if length <= 0 or (length < WINDOW_NS and (self._limit or not pass_over)):
            return False
        self.measured = self._bytes * NS_PER_S // length
        self.pages_per_second = self._pages * NS_PER_S // length
        telling = self._bytes > _WORTH_A_LOOK
        self._began, self._bytes, self._pages = now, 0, 0
        return telling

    def allowance(self, now: int) -> int | None:
        """Bytes that may still be sent in this window; None: any number."""
        if not self._limit:
            return None
        if now - self._quota_began >= WINDOW_NS:
            self._quota_began, self._used = now, 0
        return max(self._limit * WINDOW_NS // NS_PER_S - self._used, 0)

    @property
    def next_window(self) -> int:
        """When the next window of the limit begins."""
        return self._quota_began + WINDOW_NS
