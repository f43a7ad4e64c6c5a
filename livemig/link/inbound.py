"""Bytes to frames and guest RAM, without I/O: whoever has bytes asks where they go."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from itertools import count

from livemig.errors import PeerLost, ProtocolError
from livemig.link.buffers import Buffers, behind
from livemig.link.channel import PagesTally
from livemig.link.pages import clear, in_place
from livemig.machine.ram import PAGE
from livemig.migration.frames import MAX_HEADER, PREFIX, Frame, decode, header_length


class Inbound:
    """The receiving half of a connection, as a state machine.

    Whoever wants a frame brings bytes until there is one::

        while (frame := inbound.next_frame()) is None:
            inbound.received(read_into(inbound.wants))

    Args:
        memory: guest RAM: writable bytes, whole pages. None: no RAM, every page is outside.

    Attributes:
        wants: where the next bytes go, in order. The peer owes them all: a read may wait until they are here.
        tally: of the frames of pages.
    """

    def __init__(self, memory: memoryview | None) -> None:
        self.wants: Buffers = ()
        self.tally = PagesTally()
        self._memory = memoryview(b"") if memory is None else memory
        self._during = ""
        self._frames = self._parse()
        self._broken: ProtocolError | None = None

    def received(self, size: int) -> None:
        """`size` bytes are in `wants`; 0: there will be no more.

        Raises:
            PeerLost: there will be no more.
        """
        if size == 0:
            raise PeerLost(self._during)
        self.wants = behind(self.wants, size)

    def next_frame(self) -> Frame | None:
        """The next frame but for those of pages, which are in RAM now; None: bytes are wanted first.

        Raises:
            ProtocolError: no peer may send this. Nothing of it is applied, nor of anything behind it.
        """
        if self._broken is not None:
            raise self._broken
        try:
            return next(self._frames)
        except ProtocolError as error:
            self._broken = error
            raise

    def release(self) -> None:
        """Let go of guest RAM; nothing can be received any more."""
        self._frames.close()
        self._memory, self.wants = memoryview(b""), ()

    def _parse(self) -> Generator[Frame | None]:
        prefix, room = memoryview(bytearray(PREFIX)), memoryview(bytearray(MAX_HEADER))
        for seq in count():
            self._during = "the wait for a frame"
            nothing_yet = self.wants = [prefix]
            while self.wants:
                yield None
                if self.wants is not nothing_yet:
                    self._during = "the header of a frame"
            header = room[: header_length(prefix)]
            yield from self._fill([header])
            frame, length = decode(header, seq, ram_pages=len(self._memory) // PAGE)
            self._during = f"the payload of {frame.type!r}"
            if frame.carries_pages:
                yield from self._fill(in_place(self._memory, frame.fields["runs"]))
                self._place(frame, length)
            elif length:
                payload = memoryview(bytearray(length))
                yield from self._fill([payload])
                yield replace(frame, payload=bytes(payload))
            else:
                yield frame

    def _fill(self, buffers: Buffers) -> Generator[None]:
        self.wants = buffers
        while self.wants:
            yield None

    def _place(self, frame: Frame, length: int) -> None:
        """What is left to be done when the content of a frame of pages has arrived."""
        zero = frame.fields["zero"]
        clear(self._memory, zero)
        self.tally.frames += 1
        self.tally.pages += length // PAGE
        self.tally.zero_pages += int(zero[:, 1].sum())
        self.tally.payload_bytes += length
        self.tally.arrives_ns = frame.arrives_ns
