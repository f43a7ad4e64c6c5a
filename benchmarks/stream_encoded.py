"""Pages that go out compressed (zstd), or as deltas (XBZRLE), beside bare sockets that move the pages as they are.

What the encoding saves depends on the content, which is made up here: a page is half random, half zero; for a delta
eight words of it, apart, have changed since it was sent last. GB/s are of guest memory, not of the line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.figure import Figure
from benchmarks.stream import Mover, compare, through
from livemig.machine.ram import PAGE, WORDS, Pages, Ram
from livemig.migration.encoding import XBZRLE, ZSTD, Encoder
from livemig.migration.fields import MAX_SIZES
from livemig.migration.frames import Frame
from livemig.migration.settings import Encodings

_NONE: Pages = np.zeros(0, np.int64)
_CHANGED = slice(3, WORDS, WORDS // 8)


def encoded(rounds: int, mib: int) -> Iterator[Figure]:
    """Compression on one connection and on two; deltas on one, as they are not to be had on more."""
    for name, more, coding in (("tcp", 0, ZSTD), ("tcp, 2 channels", 2, ZSTD), ("tcp", 0, XBZRLE)):
        source, destination = Ram(mib << 20), Ram(mib << 20)
        pages = np.arange(source.page_count)
        _fill(source)
        mover, sent = _mover(coding, source, destination, pages, more)
        name = f"stream: {name}, {coding}"
        rate, *_ = compare(name, "tcp", pages, source, destination, rounds, more=more, ours_is=mover)
        yield rate
        size = sent() / (len(pages) * PAGE)
        yield Figure(f"{name}: sent", round(size, 4), "B/B", "the pages as they are", 1.0, round(size, 4))
        source.close()
        destination.close()


def _fill(ram: Ram) -> None:
    ram.words[:] = 0
    half = ram.words[:, : WORDS // 2]
    half[:] = np.random.default_rng(4).integers(1, 1 << 63, half.shape, dtype=np.uint64)


def _mover(
    coding: str, source: Ram, destination: Ram, pages: Pages, more: int
) -> tuple[Mover, Callable[[], int]]:
    """And how many bytes of payload it sent the last time."""
    settings = Encodings(xbzrle=coding == XBZRLE, cache_size=2 * source.size, zstd=coding == ZSTD, zstd_level=1)
    encoder, sent = Encoder(settings, source), 0

    def frames() -> Iterator[Frame]:
        nonlocal sent
        sent = 0
        for begin in range(0, len(pages), MAX_SIZES):
            made = encoder.encode(coding, pages[begin : begin + MAX_SIZES], _NONE, 2, False)
            fields: dict[str, Any] = {**made.fields, "zero": []}
            sent += len(made.payload)
            yield Frame("encoded", 0, 0, fields, made.payload)

    def prepare() -> None:
        if coding == XBZRLE:
            for _ in frames():  # so the cache has what the destination has
                pass
            destination.words[:] = source.words
            source.words[:, _CHANGED] += np.uint64(1)

    plain = through(frames, more=more)
    return plain._replace(prepare=prepare), lambda: sent
