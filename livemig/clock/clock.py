"""The clock of a run: integer nanoseconds from its start. Two kinds, one interface."""

from __future__ import annotations

import heapq
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

import trio

NS_PER_S = 1_000_000_000


class Clock(ABC):
    """``now`` and ``sleep_until``, in nanoseconds of the run."""

    virtual: bool

    @abstractmethod
    def now(self) -> int:
        """Nanoseconds since the start of the run."""

    @abstractmethod
    async def sleep_until(self, ns: int) -> None:
        """Return when ``now() >= ns``; at once, after a checkpoint, if that is so already."""

    @abstractmethod
    @contextmanager
    def attend(self, rank: int) -> Iterator[None]:
        """The calling task takes part: virtual time stands still while it is busy.

        ``rank`` orders tasks that wake at the same instant, lower first; unique among those that attend.
        """


class VirtualClock(Clock):
    """Time jumps to the next thing that happens, when every attending task sleeps."""

    virtual = True

    def __init__(self, start_ns: int = 0) -> None:
        self._now = start_ns
        self._attending: set[int] = set()
        self._asleep: list[tuple[int, int, trio.Event]] = []
        self._rank: dict[trio.lowlevel.Task, int] = {}

    def now(self) -> int:
        return self._now

    def jump_to(self, ns: int) -> None:
        """For whoever steps through a run without tasks: it is ``ns`` now, or later."""
        self._now = max(self._now, ns)

    @contextmanager
    def attend(self, rank: int) -> Iterator[None]:
        if rank in self._attending:
            raise ValueError(f"rank {rank} attends already")
        task = trio.lowlevel.current_task()
        self._attending.add(rank)
        self._rank[task] = rank
        try:
            yield
        finally:
            self._attending.discard(rank)
            del self._rank[task]
            self._jump()

    async def sleep_until(self, ns: int) -> None:
        if ns <= self._now:
            await trio.lowlevel.checkpoint()
            return
        rank = self._rank[trio.lowlevel.current_task()]
        if self._attending == {rank}:  # nobody else to wait for
            self._now = ns
            await trio.lowlevel.checkpoint()
            return
        entry = (ns, rank, trio.Event())
        heapq.heappush(self._asleep, entry)
        self._jump()
        try:
            await entry[2].wait()
        except trio.Cancelled:
            if entry in self._asleep:
                self._asleep.remove(entry)
                heapq.heapify(self._asleep)
            raise

    def _jump(self) -> None:
        """Wake the earliest sleeper, one at a time: the next one only when that one sleeps again or leaves."""
        if self._asleep and len(self._asleep) == len(self._attending):
            ns, _, woken = heapq.heappop(self._asleep)
            self._now = max(self._now, ns)
            woken.set()


class WallClock(Clock):
    """The host's monotonic clock, ``rate`` virtual seconds for one of the host's.

    Args:
        epoch_ns: ``time.monotonic_ns()`` at the run's start; both sides on one host share it.
        rate: how much faster than the host's clock; a fraction, so that no float holds time.
    """

    virtual = False
    def __init__(self, epoch_ns: int | None = None, rate: Fraction = Fraction(1)) -> None:
        self.epoch_ns = time.monotonic_ns() if epoch_ns is None else epoch_ns
        self.rate = rate

    def now(self) -> int:
        elapsed = time.monotonic_ns() - self.epoch_ns
        return elapsed * self.rate.numerator // self.rate.denominator

    def host_ns(self, ns: int) -> int:
        """The first ``time.monotonic_ns()`` at which ``now() >= ns``."""
        return self.epoch_ns - (-ns * self.rate.denominator // self.rate.numerator)

    async def sleep_until(self, ns: int) -> None:
        await trio.lowlevel.checkpoint()
        while (left := self.host_ns(ns) - time.monotonic_ns()) > 0:
            await trio.sleep(left / NS_PER_S)

    @contextmanager
    def attend(self, rank: int) -> Iterator[None]:
        yield
