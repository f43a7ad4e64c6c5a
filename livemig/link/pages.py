"""Runs of pages in guest RAM."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from livemig.machine.ram import PAGE, WORDS, Pages
from livemig.migration.fields import Runs

Words = NDArray[np.uint64]
"""Guest RAM, a page a row."""

PIECE: Final = 128
"""Pages written, read and checked at a time: what stays in a CPU's cache beside all else."""

_CLEARED: Final = 1024
"""Pages looked at and cleared at a time."""
_LONG: Final = 4
"""Pages of a run from which on, in the mean, it is looked at where it is, and not in a copy of many runs."""


def words(memory: memoryview) -> Words:
    """`memory`, whole pages, as rows."""
    return np.frombuffer(memory, np.uint64).reshape(-1, WORDS)


def gathered(memory: memoryview, pages: Pages) -> Iterator[memoryview]:
    """Copies of the content of `pages`, a piece at a time, each in the room of the one before."""
    ram, room = words(memory), np.empty((min(PIECE, len(pages)), WORDS), np.uint64)
    for begin in range(0, len(pages), PIECE):
        piece = pages[begin : begin + PIECE]
        taken = room[: len(piece)]
        if piece[-1] - piece[0] + 1 == len(piece):
            taken[:] = ram[piece[0] : piece[-1] + 1]
        else:
            np.take(ram, piece, axis=0, out=taken, mode="clip")
        yield taken.data.cast("B")


def copy(source: memoryview, target: memoryview, runs: Runs) -> None:
    """The content of `runs`, at least one, from one RAM to another of that size."""
    pages: slice | Pages = slice(runs[0, 0], runs[0].sum()) if len(runs) == 1 else pages_of(runs)
    words(target)[pages] = words(source)[pages]


def pieces(memory: memoryview, runs: Runs) -> list[list[memoryview]]:
    """Where the content of `runs`, at least one, is: a piece and what is left of its last run at a time."""
    if len(runs) == 1:
        (first, count), end = runs[0].tolist(), int(runs[0].sum())
        return [[memory[at * PAGE : min(at + PIECE, end) * PAGE]] for at in range(first, first + count, PIECE)]
    if int(runs[:, 1].max()) > PIECE:
        runs = _cut(runs)
    begins = runs[:, 0] * PAGE
    ends = begins + runs[:, 1] * PAGE
    views = [memory[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
    piece = (runs[:, 1].cumsum() - 1) // PIECE
    bounds = [0, *(np.flatnonzero(piece[1:] != piece[:-1]) + 1).tolist(), len(views)]
    return [views[begin:end] for begin, end in pairwise(bounds)]


def _cut(runs: Runs) -> Runs:
    """The same pages in runs of a piece at most."""
    counts = runs[:, 1]
    parts = -(-counts // PIECE)
    which = np.repeat(np.arange(len(runs)), parts)
    before = (np.arange(len(which)) - (parts.cumsum() - parts)[which]) * PIECE
    return np.column_stack((runs[which, 0] + before, np.minimum(counts[which] - before, PIECE)))


def pages_of(runs: Runs) -> Pages:
    """Every page of `runs`, in their order."""
    if len(runs) == 1:
        first, count = runs[0].tolist()
        return np.arange(first, first + count)
    counts = runs[:, 1]
    behind = np.cumsum(counts)
    return np.arange(counts.sum()) + np.repeat(runs[:, 0] - behind + counts, counts)


def clear(memory: memoryview, runs: Runs) -> None:
    """Make `runs` all zero. Pages that are zero are only read: untouched private memory stays unallocated."""
    if not len(runs):
        return
    ram = words(memory)
    if int(runs[:, 1].sum()) < _LONG * len(runs):
        pages = pages_of(runs)
        for begin in range(0, len(pages), PIECE):
            some = pages[begin : begin + PIECE]
            ram[some[np.bitwise_or.reduce(ram[some], axis=1) != 0]] = 0
        return
    for first, count in runs.tolist():
        for begin in range(first, first + count, _CLEARED):
            block = ram[begin : min(begin + _CLEARED, first + count)]
            written = np.bitwise_or.reduce(block, axis=1) != 0
            if written.any():
                block[written] = 0
