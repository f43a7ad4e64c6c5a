"""What becomes of a frame that has come, however it came: pages into RAM, and what is counted of them."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from livemig.errors import ProtocolError
from livemig.link.channel import PagesTally
from livemig.link.pages import clear, pages_of, words
from livemig.machine.ram import PAGE, Pages, Watch
from livemig.migration.encoding import decoded
from livemig.migration.frames import Frame

_TAKING = threading.Lock()
"""Held by the thread that looks whether a page may be written, and says that it is."""


class Intake:
    """Args: ``memory``: guest RAM: writable bytes, whole pages. None: no RAM, every page is outside. ``watch``: over
    what is written to it; None: nobody watches.

    Attributes:
        tally: of the frames of pages. whole: how many frames were received to their end.
        memory: as given; a peer that has to prove itself first is given none until it has.
        takes: the pages that may be written, each once and in a frame that is announced; None: all, in any. Of several
            connections it is the same: what has begun to come by one is refused on another, for the guest may have
            written to the page by the time that a second copy arrives.
    """

    def __init__(self, memory: memoryview | None, watch: Watch | None = None) -> None:
        self.tally = PagesTally()
        self.whole = 0
        self.memory = memoryview(b"") if memory is None else memory
        self.watch = watch
        self.takes: NDArray[np.bool_] | None = None

    @property
    def pages(self) -> int:
        """Of guest RAM."""
        return len(self.memory) // PAGE

    def check_taken(self, frame: Frame) -> None:
        """Before anything is written; ProtocolError if the peer may not write it."""
        if self.takes is None:
            return
        if not frame.announced:
            raise ProtocolError(frame.type, "type", "not expected: the guest runs here")
        named = [(name, pages_of(runs)) for name in ("runs", "zero") if len(runs := frame.fields[name])]
        with _TAKING:
            for name, pages in named:
                if not self.takes[pages].all():
                    raise ProtocolError(frame.type, name, "a page that is not missing")
            for _, pages in named:
                self.takes[pages] = False

    def stamp(self, pages: Pages) -> NDArray[np.uint32]:
        """`pages` are about to be written, and not by the guest, which has none of them."""
        if self.watch is None:
            return np.zeros(0, np.uint32)
        self.watch.stamp(pages)
        return self.watch.stamps(pages)

    def decode(self, frame: Frame, payload: memoryview) -> None:
        """Pages that came in another form, into RAM."""
        if len(pages := pages_of(frame.fields["runs"])):
            ram = words(self.memory)
            self.stamp(pages)
            ram[pages] = decoded(frame.fields, payload, ram[pages])
        self.place(frame, len(payload))

    def place(self, frame: Frame, length: int) -> None:
        """What is left to be done when the content of a frame of pages has arrived."""
        zero = frame.fields["zero"]
        if len(zero):
            self.stamp(pages_of(zero))
        clear(self.memory, zero)
        self.tally.frames += 1
        self.tally.pages += int(frame.fields["runs"][:, 1].sum())
        self.tally.zero_pages += int(zero[:, 1].sum())
        self.tally.payload_bytes += length
        self.tally.arrives_ns = frame.arrives_ns
