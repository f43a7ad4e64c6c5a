"""What is done to the bytes of a frame that is really sent; when it arrives is its sender's affair."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from livemig.link.buffers import Buffers


@dataclass(frozen=True, slots=True)
class Harm:
    """To one frame.

    Args:
        damaged: a bit of it is another one. slice_bytes: it leaves in slices of that size, 0 for in one; pause_ns:
            between two of them. pauses: so many were reckoned with. most: so many of its bytes leave, and nothing after
            them; None: all. silent: while it waits, its sender gives no sign of life either.
    """

    damaged: bool = False
    slice_bytes: int = 0
    pause_ns: int = 0
    pauses: int = 0
    most: int | None = None
    silent: bool = False


NO_HARM = Harm()


def harmed(header: bytes, payload: Iterable[Buffers], harm: Harm) -> Iterator[tuple[int, memoryview]]:
    """The bytes of a frame, piece by piece, and before each of them so many pauses in all."""
    if harm.damaged:
        header = damaged(header)
    left, gone = harm.most, 0
    for piece in chain((memoryview(header),), chain.from_iterable(payload)):  # each is good until the next is asked for
        if left is not None:
            piece, left = piece[:left], left - min(left, len(piece))
        while piece:
            size = harm.slice_bytes - gone % harm.slice_bytes if harm.slice_bytes else len(piece)
            yield gone // harm.slice_bytes if harm.slice_bytes else 0, piece[:size]
            gone += len(piece[:size])
            piece = piece[size:]


def damaged(header: bytes) -> bytes:
    """One bit of it is another one; its checksum is not."""
    return header[:-1] + bytes([header[-1] ^ 1])
