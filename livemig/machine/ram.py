"""Guest RAM: an anonymous mapping, private to the process, in pages of 4 KiB, and its dirty bitmap."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import numpy as np
import xxhash
from numpy.typing import NDArray

PAGE: Final = 4096
WORDS: Final = PAGE // 8

_BLOCK: Final = 64 << 20
"""Bytes of RAM that one thread digests at a time."""
_LOOKED_AT: Final = 256
"""Pages looked through for zeros at a time."""

Pages = NDArray[np.int64]
"""Page numbers, ascending."""


class Watch:
    """Tells whoever reads RAM while the guest runs whether the guest wrote there meanwhile.

    A reader takes :meth:`stamps` before, and asks :meth:`unwritten` after. Pages are stamped when they have been
    written, and ``writing`` is set from before that: so a write that overlaps with the reading is either over by the
    second look, and has changed a stamp since the first, or is still going on.

    Attributes:
        writing: the guest writes, nobody knows where.
    """

    def __init__(self, page_count: int) -> None:
        self.writing = False
        self._stamps = np.zeros(page_count, np.uint32)

    def stamp(self, pages: Pages) -> None:
        """``pages`` have been written."""
        self._stamps[pages] += 1

    def stamps(self, pages: Pages) -> NDArray[np.uint32]:
        """How often each of ``pages`` was written."""
        return self._stamps[pages]

    def unwritten(self, pages: Pages, since: NDArray[np.uint32]) -> bool:
        """Whether none of ``pages`` was written since :meth:`stamps` said ``since``."""
        return not self.writing and bool(np.array_equal(self._stamps[pages], since))


class Ram:
    """``size`` bytes of zeros, a multiple of :data:`PAGE`."""

    def __init__(self, size: int) -> None:
        if size <= 0 or size % PAGE:
            raise ValueError(f"RAM of {size} bytes is not a positive multiple of {PAGE}")
        self._map = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with suppress(OSError, AttributeError):  # QEMU asks for large pages too; a host need not have them
            self._map.madvise(mmap.MADV_HUGEPAGE)
        self.size = size
        self.page_count = size // PAGE
        self.memory = memoryview(self._map)
        self.words: NDArray[np.uint64] = np.frombuffer(self._map, np.uint64).reshape(self.page_count, WORDS)
        self.watch = Watch(self.page_count)
        self._dirty = np.zeros(self.page_count, np.bool_)

    def populate(self) -> None:
        """Take all of it from the host now, while it is all zero; else a page is taken when it is first written to."""
        self.words[:, 0] = 0

    def clear(self) -> None:
        """As a new one: zeros, none of them dirty."""
        self.words[:] = 0
        self._dirty[:] = False

    def write(self, writes: Callable[[NDArray[np.uint64]], Pages]) -> None:
        """Let ``writes`` write to ``words``: what it gives are the pages, now dirty (in any order, repeats allowed)."""
        self.watch.writing = True
        pages = writes(self.words)
        self.watch.stamp(pages)
        self.watch.writing = False
        self.mark(pages)

    def mark(self, pages: Pages) -> None:
        """Say that ``pages`` were written (in any order, repeats allowed)."""
        self._dirty[pages] = True

    def mark_all(self) -> None:
        """As at the start of a migration: every page is to be sent."""
        self._dirty[:] = True

    def take_dirty(self) -> Pages:
        """The pages written since the last call, and forget them: QEMU's bitmap sync."""
        pages = np.flatnonzero(self._dirty)
        self._dirty[pages] = False
        return pages

    @property
    def dirty_count(self) -> int:
        """Pages written since the last ``take_dirty``."""
        return int(np.count_nonzero(self._dirty))

    def zero(self, pages: Pages) -> NDArray[np.bool_]:
        """Which of ``pages`` hold nothing but zeros."""
        if len(pages) == 0:
            return np.zeros(0, np.bool_)
        none_set: NDArray[np.bool_] = self.words[pages, 0] == 0
        doubtful = np.flatnonzero(none_set)  # the first word says it of nearly all that are not zero
        for begin in range(0, len(doubtful), _LOOKED_AT):
            some = doubtful[begin : begin + _LOOKED_AT]
            none_set[some] = np.bitwise_or.reduce(self.words[pages[some]], axis=1) == 0
        return none_set

    def digest(self) -> str:
        """128-bit XXH3 of the whole content, in hex; of more than a block, XXH3 of those of its blocks."""
        blocks = [self.memory[begin : begin + _BLOCK] for begin in range(0, self.size, _BLOCK)]
        if len(blocks) == 1:
            return xxhash.xxh3_128_hexdigest(self.memory)
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor() as pool:  # the guest stands still, and xxhash lets go of the interpreter
            return xxhash.xxh3_128_hexdigest(b"".join(pool.map(xxhash.xxh3_128_digest, blocks)))

    def close(self) -> None:
        """Give the mapping back. The RAM must not be used afterwards."""
        del self.words
        self.memory.release()
        try:
            self._map.close()
        except BufferError:  # a view of it is alive in an error's traceback: the process's end frees it
            pass
