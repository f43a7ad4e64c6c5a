"""Guest RAM: an anonymous mapping, private to the process, in pages of 4 KiB, and its dirty bitmap."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import numpy as np
import xxhash
from numpy.typing import NDArray

PAGE: Final = 4096
WORDS: Final = PAGE // 8

BLOCK: Final = 1024
"""Pages that are digested as one: as many as a frame carries."""
_AT_A_TIME: Final = 16
"""Blocks that one thread digests."""
_LOOKED_AT: Final = 256
"""Pages looked through for zeros at a time."""

Pages = NDArray[np.int64]
"""Page numbers, ascending."""


class Watch:
    """Tells whoever reads RAM while the guest runs whether the guest wrote there meanwhile.

    A reader takes :meth:`stamps` before, and asks :meth:`unwritten` after. Pages are stamped when they have been
    written, and ``writing`` is set from before that: so a write that overlaps with the reading is either over by the
    second look, and has changed a stamp since the first, or is still going on. Whoever hashed a whole block while it
    read it says so (:meth:`learn`): it need not be hashed again for the digest of RAM while nothing is written there.

    Attributes:
        writing: the guest writes, nobody knows where.
    """

    def __init__(self, page_count: int) -> None:
        self.writing = False
        self._stamps = np.zeros(page_count, np.uint32)
        self._known: dict[int, tuple[bytes, int]] = {}

    def stamp(self, pages: Pages) -> None:
        """``pages`` have been written."""
        self._stamps[pages] += 1

    def stamps(self, pages: Pages) -> NDArray[np.uint32]:
        """How often each of ``pages`` was written."""
        return self._stamps[pages]

    def unwritten(self, pages: Pages, since: NDArray[np.uint32]) -> bool:
        """Whether none of ``pages`` was written since :meth:`stamps` said ``since``."""
        return not self.writing and bool(np.array_equal(self._stamps[pages], since))

    def learn(self, pages: Pages, since: NDArray[np.uint32], xxh3_64: bytes) -> None:
        """That is the hash of what ``pages``, contiguous, hold since :meth:`stamps` said ``since``."""
        block, begins_late = divmod(int(pages[0]), BLOCK)
        if not begins_late and len(pages) == min(BLOCK, len(self._stamps) - block * BLOCK):
            self._known[block] = xxh3_64, int(since.sum(dtype=np.uint64))

    def known(self, block: int) -> bytes | None:
        """The hash of that block, if it was learnt and none of its pages was written since."""
        xxh3_64, since = self._known.get(block, (None, 0))
        now = int(self._stamps[block * BLOCK : (block + 1) * BLOCK].sum(dtype=np.uint64))  # every write counts it up
        return xxh3_64 if since == now else None


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
        self.watch.stamp(np.arange(self.page_count))
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
        """128-bit XXH3 of the whole content, in hex; of more than a block, of the 64-bit XXH3 of each of its blocks."""
        if self.page_count <= BLOCK:
            return xxhash.xxh3_128_hexdigest(self.memory)
        hashes = [self.watch.known(block) for block in range(-(-self.page_count // BLOCK))]
        unknown = [block for block, known in enumerate(hashes) if known is None]
        for block, xxh3_64 in zip(unknown, self._hashed(unknown), strict=True):
            hashes[block] = xxh3_64
        return xxhash.xxh3_128_hexdigest(b"".join(each for each in hashes if each is not None))

    def _hashed(self, blocks: list[int]) -> list[bytes]:
        def hashed(some: list[int]) -> list[bytes]:
            size = BLOCK * PAGE
            return [xxhash.xxh3_64_digest(self.memory[block * size : (block + 1) * size]) for block in some]

        parts = [blocks[begin : begin + _AT_A_TIME] for begin in range(0, len(blocks), _AT_A_TIME)]
        if len(parts) <= 1:
            return hashed(blocks)
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(os.cpu_count()) as pool:  # the guest stands still; xxhash lets go of the interpreter
            return [each for part in pool.map(hashed, parts) for each in part]

    def close(self) -> None:
        """Give the mapping back. The RAM must not be used afterwards."""
        del self.words
        self.memory.release()
        try:
            self._map.close()
        except BufferError:  # a view of it is alive in an error's traceback: the process's end frees it
            pass
