"""What a guest does to its memory: pages written at a rate, in a pattern.

The k-th write of a run falls at a fixed guest time and on a fixed page, so it does not matter at which barriers the
writes are caught up with, nor on which side. It is CPU k mod n's; a CPU that stands still does its own later.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from livemig.guests.draws import draws
from livemig.timers.ticks import NEVER, NS_PER_S

_PAGE = 4096
_SLOT_WORDS = 8
"""Each CPU writes a 64-byte slot of its own in a page (64 CPUs fill it), so CPUs never write the same word."""


@dataclass(frozen=True, slots=True)
class MemoryWorkload:
    """Args: ``rate`` bytes of pages a second over all CPUs; ``working_set``, ``hot`` in pages; ``hot_share`` and
    ``filled`` in per cent; ``locality`` uniform, hot or sequential; ``burst``: from when of guest running time (ns),
    how long, and the rate instead."""

    seed: int
    cpus: int
    rate: int
    locality: str
    working_set: int
    hot: int
    hot_share: int
    filled: int
    burst: tuple[int, int, int] = (0, 0, 0)

    def writes_before(self, run_ns: int) -> int:
        """How many page writes fall before ``run_ns`` of guest running time."""
        begin, length, rate = self.burst
        within = min(max(run_ns - begin, 0), length)
        return ((run_ns - within) * self.rate + within * rate) // (_PAGE * NS_PER_S)

    def instant(self, k: int) -> int:
        """The first ns of guest running time that write ``k`` falls before, by :meth:`writes_before`."""
        begin, length, rate = self.burst
        left = (k + 1) * _PAGE * NS_PER_S
        if not length or left <= begin * self.rate:
            return _over(left, self.rate)
        left -= begin * self.rate
        if left <= length * rate:
            return begin + _over(left, rate)
        return begin + length + _over(left - length * rate, self.rate)

    def pages(self, first: int, count: int, stride: int = 1) -> NDArray[np.int64]:
        """The pages that ``count`` writes fall on, from ``first`` on, each ``stride`` after the other, in order."""
        if self.locality == "sequential":
            return (np.arange(first, first + count * stride, stride) % self.working_set).astype(np.int64)
        drawn = draws(self.seed, first, count, stride)
        if self.locality == "uniform":
            return (drawn % np.uint64(self.working_set)).astype(np.int64)
        # the low bits say whether it is a hot one, the rest which: two draws from one
        hot = drawn % np.uint64(100) < np.uint64(self.hot_share)
        which = drawn // np.uint64(100)
        return np.where(hot, which % np.uint64(self.hot), which % np.uint64(self.working_set)).astype(np.int64)

    def apply(self, words: NDArray[np.uint64], first: int, count: int) -> NDArray[np.int64]:
        """Do those writes in ``words`` (pages × 512 words of 64 bits); gives the pages written."""
        pages = self.pages(first, count)
        k = np.arange(first, first + count)
        words[pages, k % self.cpus * _SLOT_WORDS] = (k + 1).astype(np.uint64)  # of repeats the last one stays
        return pages

    def pages_of(self, cpu: int, first: int, count: int) -> NDArray[np.int64]:
        """The same for writes of ``cpu``, by its own numbering: its j-th is the (j · cpus + cpu)-th of all."""
        return self.pages(first * self.cpus + cpu, count, self.cpus)

    def apply_of(self, cpu: int, words: NDArray[np.uint64], first: int, count: int) -> NDArray[np.int64]:
        """Do writes of ``cpu`` alone, by its own numbering; gives the pages written."""
        pages = self.pages_of(cpu, first, count)
        k = np.arange(first, first + count) * self.cpus + cpu
        words[pages, cpu * _SLOT_WORDS] = (k + 1).astype(np.uint64)
        return pages

    def fill(self, words: NDArray[np.uint64]) -> None:
        """What is in memory at power-on: ``filled`` per cent of the pages, spread evenly, are not zero."""
        number = np.arange(len(words))
        chosen = np.flatnonzero((number + 1) * self.filled // 100 > number * self.filled // 100)
        words[chosen] = draws(self.seed ^ 0xF111, 0, len(words))[chosen, np.newaxis] | np.uint64(1)


def _over(amount: int, rate: int) -> int:
    """How long ``amount`` takes at ``rate``, rounded up; NEVER at none."""
    return -(-amount // rate) if rate else NEVER
