"""Pages in another form than their content: deltas (XBZRLE) and compressed pages (zstd), frame by frame.

A frame ``encoded`` has a size for each page of its runs: that of its form in the payload; 0 for a page as it is. What
is sent is a copy, taken when it is encoded: the destination must have, byte for byte, what later deltas go from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from livemig.errors import ProtocolError
from livemig.machine.ram import PAGE, Pages, Ram
from livemig.migration import xbzrle, zstd
from livemig.migration.passes import page_runs
from livemig.migration.settings import Encodings

XBZRLE: Final = "xbzrle"
ZSTD: Final = "zstd"
ENCODINGS: Final = (XBZRLE, ZSTD)


@dataclass(slots=True)
class Encoded:
    """What goes into a frame.

    Attributes:
        fields: but for ``zero``. normal, coded, skipped: pages as they are, in another form, and not at all, because
            the destination has them as they are.
    """

    fields: dict[str, Any]
    payload: bytes
    normal: int
    coded: int
    skipped: int


@dataclass(slots=True)
class CacheFigures:
    """``query-migrate``'s ``xbzrle-cache``, counted as QEMU does; rates: over the last period."""

    bytes: int = 0
    pages: int = 0
    cache_miss: int = 0
    overflow: int = 0
    cache_miss_rate: float = 0.0
    encoding_rate: float = 0.0
    _before: tuple[int, int, int] = field(default=(0, 0, 0))

    def period(self, sent_pages: int) -> None:
        """A period has ended in which so many pages were sent (QEMU ``migration_update_rates``)."""
        bytes_, pages, misses = self._before
        if sent_pages:
            self.cache_miss_rate = (self.cache_miss - misses) / sent_pages
        plain, coded = (self.pages - pages) * PAGE, self.bytes - bytes_
        self.encoding_rate = plain / coded if plain and coded else 0.0
        self._before = self.bytes, self.pages, self.cache_miss


class Encoder:
    """The sending side. XBZRLE begins with the second pass; zstd, where both are asked for, ends with the first.

    Raises:
        UsageError: a library is missing.
    """

    def __init__(self, settings: Encodings, ram: Ram) -> None:
        self.figures = CacheFigures()
        self.cache = xbzrle.Cache(settings.cache_size, ram.page_count) if settings.xbzrle else None
        self._zstd = zstd.Compressor(settings.zstd_level) if settings.zstd else None
        self._ram = ram

    def resize(self, cache_size: int) -> None:
        """Another XBZRLE cache, of so many bytes, that knows nothing yet (QEMU ``xbzrle_cache_resize``)."""
        if self.cache is not None:
            cache = xbzrle.Cache(cache_size, self._ram.page_count)
            self.cache = self.cache if cache.capacity == self.cache.capacity else cache

    def coding(self, number: int) -> str | None:
        """How pages go out in this pass; None: as they are."""
        if self.cache is not None and number > 1:
            return XBZRLE
        return ZSTD if self._zstd is not None else None

    def encode(self, coding: str, pages: Pages, zero: Pages, age: int, last: bool) -> Encoded:
        """Encode ``pages``, of which none is in ``zero``.

        Args:
            age: looks at the dirty bitmap so far. last: the guest stands still: nothing will be sent again.
        """
        content = self._ram.words[pages].view(np.uint8)
        forms: list[bytes | None] = []
        if coding == XBZRLE:
            self._zeros(zero, age)
            forms = [self._delta(page, new, age, last) for page, new in zip(pages.tolist(), content, strict=True)]
        elif self._zstd is not None:
            forms = [self._zstd.page(new.tobytes()) for new in content]
        sent = [index for index, form in enumerate(forms) if form != b""]
        parts = [content[index].tobytes() if (form := forms[index]) is None else form for index in sent]
        sizes = np.array([len(forms[index] or b"") for index in sent], np.int64)
        normal = int(np.count_nonzero(sizes == 0))
        fields = {"encoding": coding, "runs": page_runs(pages[sent]), "sizes": sizes}
        return Encoded(fields, b"".join(parts), normal, len(sent) - normal, len(pages) - len(sent))

    def _zeros(self, pages: Pages, age: int) -> None:
        assert self.cache is not None
        for page in pages.tolist():
            self.cache.insert(page, _ZEROS, age)

    def _delta(self, page: int, new: xbzrle.Content, age: int, last: bool) -> bytes | None:
        """QEMU ``save_xbzrle_page``: None, send the page as it is; empty, it has not changed."""
        assert self.cache is not None
        figures, old = self.figures, self.cache.get(page, age)
        if old is None:
            figures.cache_miss += 1
            if not last:
                self.cache.insert(page, new, age)
            return None
        figures.pages += 1
        delta = xbzrle.encode(old, new)
        if not last and delta != b"":
            old[:] = new
        if delta is None:
            figures.overflow += 1
            figures.bytes += PAGE
        elif delta:
            figures.bytes += len(delta) + _SIZE
        return delta


_ZEROS: Final = np.zeros(PAGE, np.uint8)
_SIZE: Final = 2
"""Bytes that a page's size takes in a frame."""


def check_sizes(fields: dict[str, Any], length: int) -> None:
    """That ``sizes`` of a frame ``encoded`` are what its runs and its payload of ``length`` bytes make them.

    Raises:
        ProtocolError: they are not.
    """
    sizes, pages = fields["sizes"], int(fields["runs"][:, 1].sum()) if len(fields["runs"]) else 0
    if len(sizes) != pages:
        raise ProtocolError("encoded", "sizes", f"{len(sizes)} of them for {pages} pages")
    if fields["encoding"] not in ENCODINGS:
        raise ProtocolError("encoded", "encoding", f"{fields['encoding']!r:.40} is not known here")
    if int(np.where(sizes == 0, PAGE, sizes).sum()) != length:
        raise ProtocolError("encoded", "payload", f"{length} bytes is not what sizes make it")


def decoded(fields: dict[str, Any], payload: memoryview, before: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The content of the pages of a frame ``encoded``, a row each.

    Args:
        before: a copy of what they hold now; used up.

    Raises:
        ProtocolError: a page's form is not one; guest RAM has not been touched.
    """
    content, at = before.view(np.uint8), 0
    decompressor: zstd.Decompressor | None = None
    for row, size in enumerate(fields["sizes"].tolist()):
        form = payload[at : at + (size or PAGE)]
        at += len(form)
        try:
            if not size:
                content[row] = np.frombuffer(form, np.uint8)
            elif fields["encoding"] == XBZRLE:
                xbzrle.decode(form, content[row])
            else:
                decompressor = decompressor or zstd.Decompressor()
                content[row] = np.frombuffer(decompressor.page(form), np.uint8)
        except ValueError as problem:
            raise ProtocolError("encoded", "payload", f"the {row + 1}. page: {problem}") from None
    return content.view(np.uint64)
