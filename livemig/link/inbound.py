"""Bytes to frames and guest RAM, without I/O: whoever has bytes asks where they go."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from livemig.errors import PeerLost, ProtocolError
from livemig.link.buffers import Buffers, behind, fill
from livemig.link.channel import PagesTally
from livemig.link.pages import clear, in_place
from livemig.machine.ram import PAGE
from livemig.migration.frames import MAX_HEADER, PREFIX, Frame, decode, header_length

_READ_AHEAD: Final = 4096
"""A header is read with this much of what follows: one read a header, and little page content copied."""


class Inbound:
    """The receiving half of a connection, as a state machine.

    Whoever wants a frame brings bytes until there is one::

        while (frame := inbound.next_frame()) is None:
            inbound.received(read_into(inbound.wants()))

    Args:
        memory: guest RAM: writable bytes, whole pages. None: no RAM, every page is outside.
    """

    def __init__(self, memory: memoryview | None) -> None:
        self.tally = PagesTally()
        self._memory = memoryview(b"") if memory is None else memory
        self._seq = 0
        self._ahead = memoryview(bytearray(PREFIX + MAX_HEADER + _READ_AHEAD))
        self._used = self._read = 0  # of `_ahead`
        self._frame: Frame | None = None
        self._length = self._owed = 0  # of the payload
        self._payload = bytearray()
        self._missing: Buffers = ()
        self._broken: ProtocolError | None = None

    @property
    def exact(self) -> bool:
        """The peer owes every byte that `wants()` has room for: a read may wait until it is full."""
        return bool(self._missing)

    def wants(self) -> Buffers:
        """Where the next bytes go, in order; never empty."""
        if self._missing:
            return self._missing
        left = self._read - self._used
        self._ahead[:left] = self._ahead[self._used : self._read]
        self._used, self._read = 0, left
        return (self._ahead[left : self._header_end() + _READ_AHEAD],)

    def received(self, count: int) -> None:
        """`count` bytes are where `wants()` said; 0: there are no more.

        Raises:
            PeerLost: there are no more.
        """
        if count == 0:
            raise PeerLost(self._during())
        if self._missing:
            self._arrived(count)
        else:
            self._read += count

    def next_frame(self) -> Frame | None:
        """The next frame but for those of pages, which are in RAM now; None: bytes are wanted first.

        Raises:
            ProtocolError: no peer may send this. Nothing of it is applied, nor of anything behind it.
        """
        if self._broken is not None:
            raise self._broken
        while True:
            if self._frame is None and not self._begin_frame():
                return None
            self._use_ahead()
            if self._missing:
                return None
            frame = self._end_frame()
            if frame is not None:
                return frame

    def release(self) -> None:
        """Let go of guest RAM; nothing can be received any more."""
        self._memory, self._missing = memoryview(b""), ()

    def _header_end(self) -> int:
        """Where in `_ahead` the next header ends, or its length prefix while that is not complete."""
        body = self._used + PREFIX
        if self._read < body:
            return body
        return body + header_length(self._ahead[self._used : body])

    def _begin_frame(self) -> bool:
        body = self._used + PREFIX
        try:
            end = self._header_end()
            if end == body or self._read < end:
                return False
            header = self._ahead[body:end]
            frame, self._length = decode(header, self._seq, ram_pages=len(self._memory) // PAGE)
        except ProtocolError as error:
            self._broken = error
            raise
        self._seq += 1
        self._used = end
        self._frame = frame
        self._owed = self._length
        if frame.carries_pages:
            self._missing = in_place(self._memory, frame.fields["runs"])
        elif self._length:
            self._payload = bytearray(self._length)
            self._missing = [memoryview(self._payload)]
        return True

    def _use_ahead(self) -> None:
        """What was read ahead of a header's end is the payload's first part."""
        copied = fill(self._missing, self._ahead[self._used : self._read])
        if copied:
            self._arrived(copied)
            self._used += copied

    def _arrived(self, count: int) -> None:
        self._owed -= count
        self._missing = behind(self._missing, count) if self._owed else ()

    def _end_frame(self) -> Frame | None:
        assert self._frame is not None
        frame, self._frame = self._frame, None
        if not frame.carries_pages:
            payload, self._payload = bytes(self._payload), bytearray()
            return replace(frame, payload=payload) if payload else frame
        clear(self._memory, frame.fields["zero"])
        tally = self.tally
        tally.frames += 1
        tally.pages += self._length // PAGE
        tally.zero_pages += int(frame.fields["zero"][:, 1].sum())
        tally.payload_bytes += self._length
        tally.arrives_ns = frame.arrives_ns
        return None

    def _during(self) -> str:
        if self._frame is not None:
            return f"the payload of {self._frame.type!r}"
        return "the header of a frame" if self._read > self._used else "the wait for a frame"
