"""To be woken at an instant of the host's clock, to some microseconds.

What trio sleeps is rounded up to whole milliseconds, for so does Python's ``epoll``. Linux' ``timerfd`` is not rounded.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Final

import trio

_CLOCK_MONOTONIC: Final = 1
_ABSOLUTE: Final = 1
_NS_PER_S: Final = 1_000_000_000
_PAST: Final = 1
"""An instant that is over; 0 would switch the timer off."""


class _Spec(ctypes.Structure):
    """``struct itimerspec``."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("every_s", "every_ns", "at_s", "at_ns"))


class Alarm:
    """One instant at a time: :meth:`set` says which, :meth:`ring` waits for it.

    Raises:
        OSError: this system has no such timer.
    """

    def __init__(self) -> None:
        self._libc, self._spec = ctypes.PyDLL(None, use_errno=True), _Spec()
        if not hasattr(self._libc, "timerfd_create"):
            raise OSError("timerfd_create: not on this system")
        self._fd = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def set(self, host_ns: int) -> None:
        """Ring at this ``time.monotonic_ns()``, at once if it is past, and not at an instant that was set before."""
        self._spec.at_s, self._spec.at_ns = divmod(max(host_ns, _PAST), _NS_PER_S)
        if self._libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(self._spec), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    async def ring(self, action: Callable[[], object]) -> None:
        """Call ``action`` each time that the instant has come; until it is cancelled. The timer is given back then."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._fd)
                if self._has_rung():
                    action()
        finally:
            os.close(self._fd)

    def _has_rung(self) -> bool:
        """Not if it has been set anew since."""
        try:
            return bool(os.read(self._fd, 8))
        except BlockingIOError:
            return False
