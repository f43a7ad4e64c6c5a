"""XBZRLE: what changed in a page since it was last sent, and the cache that knows what was sent.

A delta is alternating runs (QEMU ``migration/xbzrle.c``): a length of bytes that are equal (the first may be 0), then a
length of bytes that are not, and those bytes as they are now. Lengths are ULEB128 of one or two bytes. The equal bytes
at the page's end are not mentioned; no delta at all says that nothing changed.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from livemig.machine.ram import PAGE

Content: TypeAlias = NDArray[np.uint8]
"""Bytes of a page."""

LIFETIME: Final = 2
"""Looks at the dirty bitmap for which a cached page is not given up for another (QEMU ``CACHED_PAGE_LIFETIME``)."""


def encode(old: Content, new: Content, limit: int = PAGE) -> bytes | None:
    """The delta from ``old`` to ``new``; empty if they are equal. None: it would not fit into ``limit`` bytes.

    As QEMU's, it gives up where not even two more bytes would fit, although nothing but equal bytes may be to come.
    """
    if limit < 2:
        return None
    edges = np.flatnonzero(np.diff(old != new, prepend=False, append=False)).tolist()
    out = bytearray()
    at = 0
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if len(out) + 2 > limit:
            return None
        out += _uleb(begin - at)
        if len(out) + 2 > limit:
            return None
        out += _uleb(end - begin)
        if len(out) + end - begin > limit:
            return None
        out += new[begin:end].tobytes()
        at = end
    if out and at < len(new) and len(out) + 2 > limit:
        return None
    return bytes(out)


def decode(delta: memoryview, page: Content) -> None:
    """Apply ``delta`` to ``page``.

    Raises:
        ValueError: no encoder writes this; how much of it is applied is not said.
    """
    at = read = 0
    while read < len(delta):
        equal, read = _length(delta, read, first=read == 0)
        at += equal
        changed, read = _length(delta, read, first=False)
        if at + changed > len(page):
            raise ValueError(f"a run up to byte {at + changed} of a page of {len(page)}")
        if read + changed > len(delta):
            raise ValueError(f"ends {read + changed - len(delta)} bytes short")
        page[at : at + changed] = np.frombuffer(delta[read : read + changed], np.uint8)
        at, read = at + changed, read + changed


def _uleb(length: int) -> bytes:
    return bytes((length,)) if length < 0x80 else bytes((length & 0x7F | 0x80, length >> 7))


def _length(delta: memoryview, at: int, first: bool) -> tuple[int, int]:
    """The length at ``at``, and where it ends; only the first of a delta may be 0."""
    if len(delta) - at < 2:
        raise ValueError("ends where a run is due")
    length, end = delta[at], at + 1
    if length & 0x80:
        if delta[end] & 0x80:
            raise ValueError("a length of more than two bytes")
        length, end = length & 0x7F | delta[end] << 7, end + 1
    if not length and not first:
        raise ValueError("a run of no length")
    return length, end


class Cache:
    """Pages as the destination has them, each in the one place that its number gives it (QEMU ``page_cache.c``).

    Args:
        size: bytes, a power of two of pages. ram_pages: of the guest; a larger cache than that is not made.

    Attributes:
        capacity: pages that it is said to hold.
    """

    def __init__(self, size: int, ram_pages: int) -> None:
        self.capacity = size // PAGE
        places = min(self.capacity, 1 << max(ram_pages - 1, 0).bit_length())
        self._mask = places - 1
        self._page = [-1] * places
        self._age = [0] * places
        self._content = np.zeros((places, PAGE), np.uint8)

    def get(self, page: int, age: int) -> Content | None:
        """The page as it was last sent, to be written to; None: it is not here. ``age``: looks at the bitmap so far."""
        place = page & self._mask
        if self._page[place] != page:
            return None
        self._age[place] = age
        content: Content = self._content[place]
        return content

    def insert(self, page: int, content: Content, age: int) -> bool:
        """Keep ``content``; False: another page has its place, and was seen too lately to be given up."""
        place = page & self._mask
        if self._page[place] not in (-1, page) and self._age[place] + LIFETIME > age:
            return False
        self._page[place], self._age[place] = page, age
        self._content[place] = content
        return True
