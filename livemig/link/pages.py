"""Runs of pages, [first, count] each, in guest RAM."""

from __future__ import annotations

from typing import Final

import numpy as np

from livemig.machine.ram import PAGE, WORDS

Runs = list[list[int]]

_BLOCK: Final = 1024
"""Pages cleared in one go."""


def content(memory: memoryview, runs: Runs) -> list[memoryview]:
    """The bytes of `runs`, in place."""
    return [memory[first * PAGE : (first + count) * PAGE] for first, count in runs]


def clear(memory: memoryview, runs: Runs) -> None:
    """Make `runs` all zero. Pages that are zero are only read: untouched private memory stays unallocated."""
    if not runs:
        return
    words = np.frombuffer(memory, np.uint64).reshape(-1, WORDS)
    for first, count in runs:
        for begin in range(first, first + count, _BLOCK):
            block = words[begin : min(begin + _BLOCK, first + count)]
            written = np.bitwise_or.reduce(block, axis=1) != 0
            if written.any():
                block[written] = 0
