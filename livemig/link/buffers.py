"""Lists of byte buffers as one long one: what a short read or write leaves to be done."""

from __future__ import annotations

from collections.abc import Sequence

Buffers = Sequence[memoryview]


def behind(buffers: Buffers, count: int) -> Buffers:
    """What of `buffers` lies behind their first `count` bytes."""
    for index, buffer in enumerate(buffers):
        if count < len(buffer):
            return [buffer[count:], *buffers[index + 1 :]]
        count -= len(buffer)
    return ()


def fill(buffers: Buffers, data: memoryview) -> int:
    """Copy `data` into `buffers` as far as it goes; the number of bytes copied."""
    copied = 0
    for buffer in buffers:
        piece = data[copied : copied + len(buffer)]
        buffer[: len(piece)] = piece
        copied += len(piece)
    return copied
