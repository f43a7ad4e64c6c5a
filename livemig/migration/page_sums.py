"""A digest of RAM that can be gathered page by page: what postcopy compares, when RAM is never whole at one instant."""

from __future__ import annotations

import numpy as np
import xxhash
from numpy.typing import NDArray

from livemig.machine.ram import Pages, Ram

Sums = NDArray[np.uint64]
"""XXH3, 64 bits, of each page; 0 where it is not known."""


def add_sums(sums: Sums, ram: Ram, pages: Pages) -> None:
    """Put the checksums of ``pages`` as they are now into ``sums``."""
    words = ram.words
    sums[pages] = [xxhash.xxh3_64_intdigest(words[page].data) for page in pages.tolist()]


def sums_of(ram: Ram) -> Sums:
    """Of every page, as it is now."""
    sums = np.zeros(ram.page_count, np.uint64)
    add_sums(sums, ram, np.arange(ram.page_count))
    return sums


def digest(sums: Sums, without: NDArray[np.bool_] | None = None) -> str:
    """128-bit XXH3 of the sums, in hex; those of the pages in ``without`` count as 0."""
    counted = sums if without is None else np.where(without, np.uint64(0), sums)
    return xxhash.xxh3_128_hexdigest(np.ascontiguousarray(counted, ">u8").data)
