"""The alarm: to be woken when it is time, whatever was asked for before."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest
import trio

from livemig.clock.alarm import Alarm

MS = 1_000_000


async def rung(body: Callable[[Alarm, trio.MemoryReceiveChannel[int]], object]) -> None:
    """``body`` gets an alarm, and when it rang."""
    alarm = Alarm()
    told, heard = trio.open_memory_channel[int](100)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alarm.ring, lambda: told.send_nowait(time.monotonic_ns()))
        with trio.fail_after(10):
            await body(alarm, heard)  # type: ignore[misc]
        nursery.cancel_scope.cancel()


def test_it_rings_when_it_is_time_and_not_before_and_again_when_it_is_set_again() -> None:
    async def body(alarm: Alarm, heard: trio.MemoryReceiveChannel[int]) -> None:
        for ahead in (3 * MS, MS // 10, -5 * MS):
            at = time.monotonic_ns() + ahead
            alarm.set(at)
            assert await heard.receive() >= at
        with trio.move_on_after(0.02) as waited:
            await heard.receive()
        assert waited.cancelled_caught

    trio.run(rung, body)


def test_it_is_not_late_by_a_millisecond_as_trio_is() -> None:
    """The best of many: a busy host may be late, a clock that rounds up cannot be early."""

    async def body(alarm: Alarm, heard: trio.MemoryReceiveChannel[int]) -> None:
        late = []
        for _ in range(50):
            at = time.monotonic_ns() + MS // 5
            alarm.set(at)
            late.append(await heard.receive() - at)
        assert min(late) < MS // 2

    trio.run(rung, body)


def test_an_instant_that_was_set_before_is_forgotten() -> None:
    async def body(alarm: Alarm, heard: trio.MemoryReceiveChannel[int]) -> None:
        alarm.set(time.monotonic_ns() + 5 * MS)
        at = time.monotonic_ns() + 60 * MS
        alarm.set(at)
        assert await heard.receive() >= at

    trio.run(rung, body)


def test_an_alarm_that_is_set_anew_as_it_rings_rings_at_the_new_instant() -> None:
    async def body(alarm: Alarm, heard: trio.MemoryReceiveChannel[int]) -> None:
        alarm.set(1)
        time.sleep(0.002)  # it has rung by now, and nobody has come to hear it
        at = time.monotonic_ns() + 30 * MS
        alarm.set(at)
        assert await heard.receive() >= at

    trio.run(rung, body)


def test_the_timer_is_given_back() -> None:
    before = len(os.listdir("/proc/self/fd"))

    async def body(alarm: Alarm, heard: trio.MemoryReceiveChannel[int]) -> None:
        assert len(os.listdir("/proc/self/fd")) > before

    trio.run(rung, body)
    assert len(os.listdir("/proc/self/fd")) == before


def test_where_there_is_no_such_timer_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livemig.clock.alarm.ctypes.PyDLL", lambda *args, **more: object())
    with pytest.raises(OSError, match="not on this system"):
        Alarm()
