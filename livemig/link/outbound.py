"""Frames to bytes, without I/O: the sending half of a connection."""

from __future__ import annotations

from livemig.link.buffers import Buffers
from livemig.link.pages import in_place
from livemig.machine.ram import PAGE
from livemig.migration.fields import as_runs
from livemig.migration.frames import Frame, encode


class Outbound:
    """Numbers frames and finds their bytes.

    Args:
        memory: guest RAM: bytes, whole pages; None: none.
    """

    def __init__(self, memory: memoryview | None) -> None:
        self._memory = memoryview(b"") if memory is None else memory
        self._seq = 0

    def header(self, frame: Frame) -> bytes:
        """The header, with its prefix, of the next frame of this direction.

        Raises:
            ProtocolError: no peer would take it; it counts as not sent.
        """
        header = encode(frame, self._seq, ram_pages=len(self._memory) // PAGE)
        self._seq += 1
        return header

    def payload(self, frame: Frame) -> Buffers:
        """What is to be written after the header. Pages are in place: what they hold when written is sent."""
        if frame.carries_pages:
            return in_place(self._memory, as_runs(frame.fields["runs"]))
        return [memoryview(frame.payload)] if frame.payload else []

    def release(self) -> None:
        """Let go of guest RAM; nothing can be sent any more."""
        self._memory = memoryview(b"")
