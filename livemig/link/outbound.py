"""Frames to bytes, without I/O: the sending half of a connection."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from livemig.link.pages import PIECE, Words, gather, pages_of
from livemig.machine.ram import PAGE, WORDS
from livemig.migration.checksum import Checksum
from livemig.migration.fields import as_runs
from livemig.migration.frames import Frame, encode


class Outbound:
    """Numbers frames and finds their bytes. One thread may ask for headers, and one for payloads.

    Args:
        memory: guest RAM: bytes, whole pages; None: none.
    """

    def __init__(self, memory: memoryview | None) -> None:
        self.memory = memoryview(b"") if memory is None else memory
        self._room: Words = np.empty((PIECE, WORDS), np.uint64)
        self._seq = 0

    def header(self, frame: Frame) -> bytes:
        """The header, with its prefix, of the next frame of this direction.

        Raises:
            ProtocolError: no peer would take it; it counts as not sent.
        """
        header = encode(frame, self._seq, ram_pages=len(self.memory) // PAGE)
        self._seq += 1
        return header

    def payload(self, frame: Frame) -> Iterator[memoryview]:
        """What is to be written after the header, piece by piece, each valid until the next is asked for.

        Pages are copied, for the guest may write to them while they are sent, and the checksum is of what is sent.
        """
        checksum = Checksum()
        for piece in self._pieces(frame):
            checksum.update(piece)
            yield piece
        if not checksum.empty:
            yield memoryview(checksum.digest())

    def release(self) -> None:
        """Let go of guest RAM; nothing can be sent any more."""
        self.memory = memoryview(b"")

    def _pieces(self, frame: Frame) -> Iterator[memoryview]:
        if not frame.carries_pages:
            if frame.payload:
                yield memoryview(frame.payload)
            return
        pages = pages_of(as_runs(frame.fields["runs"]))
        for begin in range(0, len(pages), PIECE):
            yield gather(self.memory, pages[begin : begin + PIECE], self._room)
