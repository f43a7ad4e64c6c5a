"""A process that stops itself for a while, by SIGSTOP, and has the kernel send it SIGCONT when that is over.

A timer of the kernel's, so that there need be nobody who lives on and wakes it: a process that nobody wakes would
stay behind for ever.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from typing import Final

_NS_PER_S: Final = 1_000_000_000


class _Sigevent(ctypes.Structure):
    """``sigevent``, 64 bytes, for SIGEV_SIGNAL."""

    _fields_ = (
        ("value", ctypes.c_void_p), ("signo", ctypes.c_int), ("notify", ctypes.c_int), ("pad", ctypes.c_byte * 48)
    )  # fmt: skip


class _Timespec(ctypes.Structure):
    _fields_ = (("s", ctypes.c_long), ("ns", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


def stop_for(ns: int) -> None:
    """Let all threads of this process stand still for ``ns`` of the host's time, or a little longer.

    Raises:
        OSError: the kernel has no timer for it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    timer = ctypes.c_void_p()
    event = _Sigevent(None, signal.SIGCONT, 0)
    _check(libc.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(timer)))
    try:
        due = _Itimerspec(_Timespec(0, 0), _Timespec(*divmod(max(ns, 1), _NS_PER_S)))
        _check(libc.timer_settime(timer, 0, ctypes.byref(due), None))
        os.kill(os.getpid(), signal.SIGSTOP)
    finally:
        libc.timer_delete(timer)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
