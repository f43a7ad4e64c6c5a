"""Bytes to frames and guest RAM, without I/O: whoever has bytes asks where they go."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from livemig.errors import PeerLost, ProtocolError
from livemig.link.buffers import Buffers, behind
from livemig.link.channel import PagesTally
from livemig.link.pages import clear, pages_of, pieces, words
from livemig.machine.ram import PAGE, Pages, Watch
from livemig.migration.checksum import SIZE, Checksum
from livemig.migration.encoding import decoded
from livemig.migration.frames import MAX_HEADER, PREFIX, REPEATED, Frame, check_header, decode, header_length


class Inbound:
    """The receiving half of a connection, as a state machine.

    Whoever wants a frame brings bytes until there is one::

        while (frame := inbound.next_frame()) is None:
            inbound.received(read_into(inbound.wants))

    Args:
        memory: guest RAM: writable bytes, whole pages. None: no RAM, every page is outside.
        watch: over what is written to it; None: nobody watches.

    Attributes:
        wants: where the next bytes go, in order. The peer owes them all: a read may wait until they are here.
        tally: of the frames of pages.
        whole, alive: how many frames were received to their end, and signs of life between them.
        memory: as given; a peer that has to prove itself first is given none until it has.
        takes: the pages that may be written, each in a frame that is announced; None: all, in any.
        stranger: nobody knows yet who the peer is, and no payload of his is taken: it would cost memory.
    """

    def __init__(self, memory: memoryview | None, watch: Watch | None = None) -> None:
        self.wants: Buffers = ()
        self.tally = PagesTally()
        self.whole = self.alive = 0
        self.memory = memoryview(b"") if memory is None else memory
        self.watch = watch
        self.takes: NDArray[np.bool_] | None = None
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
            frame, length = decode(header, seq, ram_pages=len(self.memory) // PAGE)
            if self.stranger and length:
                raise ProtocolError(frame.type, "payload", f"{length} bytes from somebody who is not let in yet")
            self._during = f"the payload of {frame.type!r}"
            if frame.carries_pages:
                self._check_taken(frame)
                yield from self._pages(frame, seq)
                self._place(frame, length)
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
                self._check_taken(frame)
                self._decode(frame, payload)
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
        since = self._stamp(pages := pages_of(runs))
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

    def _stamp(self, pages: Pages) -> NDArray[np.uint32]:
        """`pages` are about to be written, and not by the guest, which has none of them."""
        if self.watch is None:
            return np.zeros(0, np.uint32)
        self.watch.stamp(pages)
        return self.watch.stamps(pages)

    def _check_taken(self, frame: Frame) -> None:
        """Before anything is written."""
        if self.takes is None:
            return
        if not frame.announced:
            raise ProtocolError(frame.type, "type", "not expected: the guest runs here")
        for name in ("runs", "zero"):
            if not self.takes[pages_of(frame.fields[name])].all():
                raise ProtocolError(frame.type, name, "a page that is not missing")

    def _fill(self, buffers: Buffers) -> Generator[None]:
        self.wants = buffers
        while self.wants:
            yield None

    def _decode(self, frame: Frame, payload: memoryview) -> None:
        """Pages that came in another form, into RAM."""
        if len(pages := pages_of(frame.fields["runs"])):
            ram = words(self.memory)
            self._stamp(pages)
            ram[pages] = decoded(frame.fields, payload, ram[pages])
        self._place(frame, len(payload))

    def _place(self, frame: Frame, length: int) -> None:
        """What is left to be done when the content of a frame of pages has arrived."""
        zero = frame.fields["zero"]
        if len(zero):
            self._stamp(pages_of(zero))
        clear(self.memory, zero)
        self.tally.frames += 1
        self.tally.pages += int(frame.fields["runs"][:, 1].sum())
        self.tally.zero_pages += int(zero[:, 1].sum())
        self.tally.payload_bytes += length
        self.tally.arrives_ns = frame.arrives_ns


def _compare(frame: Frame, seq: int, checksum: Checksum, sent: memoryview) -> None:
    """What follows a payload is its checksum."""
    if checksum.digest() != sent:
        raise ProtocolError(frame.type, "checksum", f"the payload of frame {seq} arrived damaged")
