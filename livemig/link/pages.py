"""Runs of pages in guest RAM."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from livemig.machine.ram import WORDS, Pages
from livemig.migration.fields import Runs

Words = NDArray[np.uint64]
"""Guest RAM, a page a row."""

PIECE: Final = 32
"""Pages copied, checked and handed to the kernel at a time: what fits into a CPU's cache beside all else."""

_CLEARED: Final = 1024
"""Pages looked at and cleared at a time."""


def words(memory: memoryview) -> Words:
    """`memory`, whole pages, as rows."""
    return np.frombuffer(memory, np.uint64).reshape(-1, WORDS)


def gather(memory: memoryview, pages: Pages, room: Words) -> memoryview:
    """A copy of the content of `pages`, made in `room`."""
    taken = room[: len(pages)]
    if is_one_run(pages):
        taken[:] = words(memory)[pages[0] : pages[-1] + 1]
    else:
        np.take(words(memory), pages, axis=0, out=taken, mode="clip")
    return taken.data.cast("B")


def scatter(memory: memoryview, pages: Pages, room: Words) -> None:
    """Put what `gather` took in its place."""
    words(memory)[pages] = room[: len(pages)]


def is_one_run(pages: Pages) -> bool:
    """Whether `pages`, ascending, follow one another."""
    return bool(pages[-1] - pages[0] + 1 == len(pages))


def pages_of(runs: Runs) -> Pages:
    """Every page of `runs`, in their order."""
    counts = runs[:, 1]
    behind = np.cumsum(counts)
    return np.arange(counts.sum()) + np.repeat(runs[:, 0] - behind + counts, counts)


def clear(memory: memoryview, runs: Runs) -> None:
    """Make `runs` all zero. Pages that are zero are only read: untouched private memory stays unallocated."""
    if not len(runs):
        return
    ram = words(memory)
    for first, count in runs.tolist():
        for begin in range(first, first + count, _CLEARED):
            block = ram[begin : min(begin + _CLEARED, first + count)]
            written = np.bitwise_or.reduce(block, axis=1) != 0
            if written.any():
                block[written] = 0
