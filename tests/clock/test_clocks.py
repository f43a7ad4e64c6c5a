"""The conformance suite of clocks, run over both; and what only one of them promises."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from livemig.clock.barrier import Barrier
from livemig.clock.clock import Clock, VirtualClock, WallClock

MS = 1_000_000
CLOCKS = [VirtualClock, lambda: WallClock(rate=Fraction(10))]


@pytest.fixture(params=CLOCKS, ids=["virtual", "wall"])
def make(request: pytest.FixtureRequest) -> Callable[[], Clock]:
    return request.param


def alone(make: Callable[[], Clock], body: Callable[[Clock], object]) -> None:
    async def main() -> None:
        clock = make()
        with clock.attend(0):
            await body(clock)

    trio.run(main)


def test_it_starts_near_zero_and_is_an_integer(make: Callable[[], Clock]) -> None:
    async def body(clock: Clock) -> None:
        assert type(clock.now()) is int
        assert 0 <= clock.now() < 100 * MS

    alone(make, body)


def test_after_a_sleep_it_is_at_least_that_late_and_it_never_goes_back(make: Callable[[], Clock]) -> None:
    async def body(clock: Clock) -> None:
        seen = clock.now()
        for ns in (3 * MS, 5 * MS, 4 * MS, 5 * MS, 30 * MS):
            await clock.sleep_until(ns)
            assert clock.now() >= max(ns, seen)
            seen = clock.now()

    alone(make, body)


def test_an_instant_that_is_past_returns_at_once_but_lets_others_run(make: Callable[[], Clock]) -> None:
    async def body(clock: Clock) -> None:
        await clock.sleep_until(5 * MS)
        async with trio.open_nursery() as nursery:
            ran = []
            nursery.start_soon(_note, ran)
            for _ in range(3):
                await clock.sleep_until(0)
            assert ran

    alone(make, body)


async def _note(ran: list[bool]) -> None:
    ran.append(True)


def test_a_sleep_that_is_cancelled_leaves_the_clock_usable(make: Callable[[], Clock]) -> None:
    async def body(clock: Clock) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_sleep, clock, 1, 10**15)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await clock.sleep_until(clock.now() + MS)

    alone(make, body)


async def _sleep(clock: Clock, rank: int, until: int) -> None:
    with clock.attend(rank):
        await clock.sleep_until(until)


NAPS = st.lists(st.integers(1, 5), max_size=4)


@given(st.lists(st.tuples(st.integers(0, 9), NAPS), max_size=6, unique_by=lambda task: task[0]))
def test_virtual_time_wakes_in_the_order_of_instant_then_rank_whatever_the_order_of_the_tasks(
    tasks: list[tuple[int, list[int]]],
) -> None:
    clock = VirtualClock()
    woken: list[tuple[int, int]] = []

    async def live(rank: int, naps: list[int], task_status: trio.TaskStatus[None]) -> None:
        with clock.attend(rank):
            task_status.started()
            at = 0
            for nap in naps:
                at += nap
                await clock.sleep_until(at)
                woken.append((clock.now(), rank))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            with clock.attend(99):  # keeps time still until all are there
                for rank, naps in tasks:
                    await nursery.start(live, rank, naps)

    trio.run(main)
    expected = [(sum(naps[: i + 1]), rank) for rank, naps in tasks for i in range(len(naps))]
    assert woken == sorted(expected)


def test_virtual_time_does_not_pass_while_anyone_is_busy() -> None:
    clock = VirtualClock()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_sleep, clock, 1, 10**9)
            with clock.attend(0):
                for _ in range(20):
                    await trio.lowlevel.checkpoint()
                assert clock.now() == 0
        assert clock.now() == 10**9

    trio.run(main)


def test_two_tasks_cannot_have_the_same_rank() -> None:
    clock = VirtualClock()

    async def main() -> None:
        with clock.attend(3), pytest.raises(ValueError, match="rank 3"), clock.attend(3):
            pass

    trio.run(main)


@given(st.fractions(Fraction(1, 1000), 1000), st.integers(0, 10**15))
def test_wall_time_is_the_hosts_at_the_rate_asked_for_exactly(rate: Fraction, ns: int) -> None:
    clock = WallClock(epoch_ns=12345, rate=rate)
    host = clock.host_ns(ns)
    assert (host - 12345) * rate >= ns > (host - 1 - 12345) * rate


@pytest.mark.wall
def test_at_rate_ten_a_second_takes_a_tenth() -> None:
    began = time.monotonic()
    alone(lambda: WallClock(rate=Fraction(10)), lambda clock: clock.sleep_until(1_000_000_000))
    assert 0.1 <= time.monotonic() - began < 1


def test_every_timeline_comes_to_each_barrier_once_and_the_owner_waits_for_all() -> None:
    async def main() -> None:
        barrier = Barrier(3)
        reached: list[tuple[int, int]] = []

        async def timeline(index: int) -> None:
            async for until in barrier.grants():
                for _ in range(index):
                    await trio.lowlevel.checkpoint()
                reached.append((until, index))

        async with trio.open_nursery() as nursery:
            for index in range(3):
                nursery.start_soon(timeline, index)
            for until in (5, 7, 7, 20):
                await barrier.run_to(until)
                assert sorted(reached) == [(until, 0), (until, 1), (until, 2)]
                reached.clear()
            nursery.cancel_scope.cancel()

    trio.run(main)
