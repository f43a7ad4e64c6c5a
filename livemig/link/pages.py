"""Runs of pages in guest RAM."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from livemig.machine.ram import PAGE, WORDS
from livemig.migration.fields import Runs

Words = NDArray[np.uint64]
"""Guest RAM, a page a row."""

_CLEARED: Final = 1024
"""Pages looked at and cleared at a time."""


def words(memory: memoryview) -> Words:
    """`memory`, whole pages, as rows."""
    return np.frombuffer(memory, np.uint64).reshape(-1, WORDS)


def in_place(memory: memoryview, runs: Runs) -> list[memoryview]:
    """The content of `runs`."""
    return [memory[first * PAGE : (first + count) * PAGE] for first, count in runs.tolist()]


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
