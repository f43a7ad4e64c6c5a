"""Bytes to frames and guest RAM, without I/O: whoever has bytes asks where they go."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from itertools import count

from livemig.errors import PeerLost, ProtocolError
from livemig.link.buffers import Buffers, behind
from livemig.link.intake import Intake
from livemig.link.pages import pages_of, pieces
from livemig.machine.ram import Watch
from livemig.migration.checksum import SIZE, Checksum
from livemig.migration.frames import MAX_HEADER, PREFIX, REPEATED, Frame, check_header, decode, header_length


class Inbound(Intake):
    """The receiving half of a connection, as a state machine.

    Whoever wants a frame brings bytes until there is one::

        while (frame := inbound.next_frame()) is None:
            inbound.received(read_into(inbound.wants))

    Args:
        memory, watch: as in :class:`Intake`.

    Attributes:
        wants: where the next bytes go, in order. The peer owes them all: a read may wait until they are here.
        alive: how many signs of life came between frames.
        stranger: nobody knows yet who the peer is, and no payload of his is taken: it would cost memory.
    """

    def __init__(self, memory: memoryview | None, watch: Watch | None = None) -> None:
        super().__init__(memory, watch)
        self.wants: Buffers = ()
        self.alive = 0
        self.stranger = False
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
        """The next frame; pages are in RAM now, and are not told of unless announced; None: bytes are wanted first.

        Raises:
            ProtocolError: no peer may send this. Nothing of it is applied, nor of anything behind it, but that page
                content whose checksum is wrong is in RAM by then: the migration must not go on.
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
        self.memory, self.wants = memoryview(b""), ()

    def _parse(self) -> Generator[Frame | None]:
        prefix, room = memoryview(bytearray(PREFIX)), memoryview(bytearray(MAX_HEADER))
        for seq in count():
            yield from self._next_prefix(prefix)
            header = room[: header_length(prefix)]
            yield from self._fill([header])
            check_header(prefix, header)
            frame, length = decode(header, seq, ram_pages=self.pages)
            if self.stranger and length:
                raise ProtocolError(frame.type, "payload", f"{length} bytes from somebody who is not let in yet")
            self._during = f"the payload of {frame.type!r}"
            if frame.carries_pages:
                self.check_taken(frame)
                yield from self._pages(frame, seq)
                self.place(frame, length)
                self.whole += 1
                if frame.announced:
                    yield frame
                continue
            payload = memoryview(bytearray(length))
            if length:
                sent = memoryview(bytearray(SIZE))
                yield from self._fill([payload, sent])
                _compare(frame, seq, Checksum(payload), sent)
            if frame.type == "encoded":
                self.check_taken(frame)
                self.decode(frame, payload)
                self.whole += 1
                continue
            if length:
                frame = replace(frame, payload=bytes(payload))
            self.whole += 1
            yield frame

    def _next_prefix(self, prefix: memoryview) -> Generator[None]:
        """Past any number of signs of life."""
        while True:
            self._during = "the wait for a frame"
            nothing_yet = self.wants = [prefix]
            while self.wants:
                yield None
                if self.wants is not nothing_yet:
                    self._during = "the header of a frame"
            if header_length(prefix):
                return
            self.alive += 1

    def _pages(self, frame: Frame, seq: int) -> Generator[None]:
        """Content from the kernel straight to where it belongs, and once more if it was written to on its way."""
        runs = frame.fields["runs"]
        if not len(runs):
            return
        since = self.stamp(pages := pages_of(runs))
        *most, last = pieces(self.memory, runs)
        for repeated in (False, True):
            checksum, sent = Checksum(), memoryview(bytearray(SIZE))
            for piece in most:
                yield from self._fill(piece)
                checksum.update(*piece)
            yield from self._fill([*last, sent])
            checksum.update(*last)
            if repeated or sent != REPEATED:
                _compare(frame, seq, checksum, sent)
                if self.watch is not None and len(runs) == 1:
                    self.watch.learn(pages, since, checksum.digest())
                return

    def _fill(self, buffers: Buffers) -> Generator[None]:
        self.wants = buffers
        while self.wants:
            yield None


def _compare(frame: Frame, seq: int, checksum: Checksum, sent: memoryview) -> None:
    """What follows a payload is its checksum."""
    if checksum.digest() != sent:
        raise ProtocolError(frame.type, "checksum", f"the payload of frame {seq} arrived damaged")
