"""Frames to bytes, without I/O: the sending half of a connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from livemig.link.buffers import Buffers
from livemig.link.pages import gathered, pages_of, pieces
from livemig.machine.ram import PAGE, Pages, Watch
from livemig.migration.checksum import Checksum
from livemig.migration.fields import as_runs
from livemig.migration.frames import REPEATED, Frame, encode

_WARY: Final = 16
"""Frames of pages that are copied after one that the guest wrote to while it was sent."""


class Outbound:
    """Numbers frames and finds their bytes. One thread may ask for headers, and one for payloads.

    Args:
        memory: guest RAM: bytes, whole pages; None: none. watch: over the guest's writes to it; None: nobody watches.
    """

    def __init__(self, memory: memoryview | None, watch: Watch | None = None) -> None:
        self.memory = memoryview(b"") if memory is None else memory
        self.watch = watch
        self.repeated = 0
        """Frames whose content was sent once more."""
        self._wary = 0
        self._seq = 0

    def header(self, frame: Frame) -> bytes:
        """The header, with its prefix, of the next frame of this direction.

        Raises:
            ProtocolError: no peer would take it; it counts as not sent.
        """
        header = encode(frame, self._seq, ram_pages=len(self.memory) // PAGE)
        self._seq += 1
        return header

    def payload(self, frame: Frame) -> Iterator[Buffers]:
        """What is to be written after the header, piece by piece; each is to be written before the next is asked for.

        Pages go out from where they are, and are read for the checksum when they have been written: then they are in
        the CPU's cache. Where the guest may have written to them meanwhile, the checksum may not be of what was sent:
        so the content is sent once more, from a copy, and what follows the first says so.
        """
        if not frame.carries_pages:
            if frame.payload:
                yield [memoryview(frame.payload)]
                yield [memoryview(Checksum(frame.payload).digest())]
            return
        runs = as_runs(frame.fields["runs"])
        if not len(runs):
            return
        pages, checksum, watch = pages_of(runs), Checksum(), self.watch
        if watch is not None and not self._wary:
            before = watch.stamps(pages)
            for piece in pieces(self.memory, runs):
                yield piece
                checksum.update(*piece)
            if watch.unwritten(pages, before):
                yield [memoryview(digest := checksum.digest())]
                if len(runs) == 1:
                    watch.learn(pages, before, digest)
                return
            self._wary, self.repeated = _WARY, self.repeated + 1
            yield [memoryview(REPEATED)]
        self._wary = max(self._wary - 1, 0)
        yield from self._copied(pages)

    def small(self, frame: Frame) -> Buffers:
        """The same, all of it at once, pages as a copy; of a frame that has few."""
        if not frame.carries_pages:
            return [buffer for piece in self.payload(frame) for buffer in piece]
        runs = as_runs(frame.fields["runs"])
        if not len(runs):
            return ()
        copy = memoryview(b"".join(buffer for piece in pieces(self.memory, runs) for buffer in piece))
        return [copy, memoryview(Checksum(copy).digest())]

    def release(self) -> None:
        """Let go of guest RAM; nothing can be sent any more."""
        self.memory = memoryview(b"")

    def _copied(self, pages: Pages) -> Iterator[Buffers]:
        checksum = Checksum()
        for piece in gathered(self.memory, pages):
            checksum.update(piece)
            yield [piece]
        yield [memoryview(checksum.digest())]
