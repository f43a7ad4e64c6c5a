"""A connection between two emulators of one process: frames, handed over at once.

A header is what it is anywhere, bytes with a checksum that are checked to the last field; so neither side has anything
of the other's, and what is damaged is found. Page content goes from RAM to RAM in one step, where a socket has two:
nothing is between them that could change it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from livemig.emulator.emulator import Emulator
from livemig.errors import ProtocolError
from livemig.link.channel import Channel, PagesTally
from livemig.link.faults.harm import NO_HARM, Harm, damaged
from livemig.link.faults.link import FaultyLink
from livemig.link.intake import Intake
from livemig.link.outbound import Outbound
from livemig.link.pages import copy
from livemig.machine.ram import Watch
from livemig.migration.frames import PREFIX, Frame, check_header, decode
from livemig.timers.ticks import NEVER


class Pipe(Channel):
    """One end. What is posted is with the peer at once, to be handled when it arrives; what never arrives is not
    posted at all.

    Args:
        side: whose end it is. damaged: told of a frame to it that arrives damaged, and when.
    """

    def __init__(self, side: Emulator, damaged: Callable[[Emulator, int, ProtocolError], None]) -> None:
        self._memory = side.machine.ram.memory
        self._outbound, self._intake = Outbound(self._memory), Intake(self._memory)
        self._side, self._tell_damaged = side, damaged
        self._taken = 0
        self._broken = False
        self.link = side.wire
        self.peer: Pipe

    @property
    def tally(self) -> PagesTally:
        return self._intake.tally

    @property
    def signs(self) -> int:
        return self._intake.whole

    @property
    def signs_of_life(self) -> int:
        return 0

    def grant(self, memory: memoryview, watch: Watch | None = None) -> None:
        self._intake.memory = memory

    def restrict(self, takes: NDArray[np.bool_]) -> None:
        self._intake.takes = takes

    def post(self, frame: Frame, *, not_before: float | None = None, harm: Harm = NO_HARM) -> None:
        if frame.arrives_ns >= NEVER:
            return
        header = self._outbound.header(frame)
        if isinstance(self.link, FaultyLink) and self.link.claim(frame.arrives_ns, frame.type).damaged:
            header = damaged(header)
        self.peer.take(header, frame, self._memory)

    def take(self, header: bytes, sent: Frame, memory: memoryview) -> None:
        """A frame from the peer: its header as it arrives, and where its payload is, in ``sent`` or in ``memory``."""
        if self._broken:
            return
        try:
            frame = self._received(header, sent, memory)
        except ProtocolError as error:
            self._broken = True
            self._tell_damaged(self._side, sent.arrives_ns, error)
            return
        self._intake.whole += 1
        if frame is not None:
            self._side.heard(frame)

    def _received(self, header: bytes, sent: Frame, memory: memoryview) -> Frame | None:
        """The frame, if it is to be told of; its pages are in RAM then."""
        prefix, fields = header[:PREFIX], header[PREFIX:]
        check_header(prefix, fields)
        frame, length = decode(fields, self._taken, ram_pages=self._intake.pages)
        self._taken += 1
        if frame.carries_pages:
            self._intake.check_taken(frame)
            if len(runs := frame.fields["runs"]):
                copy(memory, self._intake.memory, runs)
            self._intake.place(frame, length)
            return frame if frame.announced else None
        if frame.type == "encoded":
            self._intake.check_taken(frame)
            self._intake.decode(frame, memoryview(sent.payload))
            return None
        return replace(frame, payload=sent.payload) if length else frame

    async def flush(self) -> None:
        """Nothing waits here."""

    async def receive(self) -> Frame:
        raise NotImplementedError("what arrives is handed over at once")

    async def aclose(self) -> None:
        self._outbound.release()
        self._memory = self._intake.memory = memoryview(b"")
