"""A connection between two emulators of one process: bytes, handed over at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from livemig.emulator.emulator import Emulator
from livemig.errors import ProtocolError
from livemig.link.buffers import fill
from livemig.link.channel import Channel, PagesTally
from livemig.link.faults.harm import NO_HARM, Harm, damaged
from livemig.link.faults.link import FaultyLink
from livemig.link.inbound import Inbound
from livemig.link.outbound import Outbound
from livemig.machine.ram import Watch
from livemig.migration.frames import Frame
from livemig.timers.ticks import NEVER


class Pipe(Channel):
    """One end. What is posted is with the peer at once, to be handled when it arrives; what never arrives is not
    posted at all.

    Args:
        side: whose end it is. damaged: told of a frame to it that arrives damaged, and when.
    """

    def __init__(self, side: Emulator, damaged: Callable[[Emulator, int, ProtocolError], None]) -> None:
        memory = side.machine.ram.memory
        self._outbound, self._inbound = Outbound(memory), Inbound(memory)
        self._side, self._tell_damaged = side, damaged
        self.link = side.wire
        self.peer: Pipe

    @property
    def tally(self) -> PagesTally:
        return self._inbound.tally

    @property
    def signs(self) -> int:
        return self._inbound.whole

    @property
    def signs_of_life(self) -> int:
        return self._inbound.alive

    def grant(self, memory: memoryview, watch: Watch | None = None) -> None:
        self._inbound.memory = memory

    def restrict(self, takes: NDArray[np.bool_]) -> None:
        self._inbound.takes = takes

    def post(self, frame: Frame, *, not_before: float | None = None, harm: Harm = NO_HARM) -> None:
        if frame.arrives_ns >= NEVER:
            return
        data = [self._outbound.header(frame), *map(b"".join, self._outbound.payload(frame))]
        if isinstance(self.link, FaultyLink) and self.link.claim(frame.arrives_ns, frame.type).damaged:
            data[0] = damaged(data[0])
        for piece in data:
            self.peer.take(memoryview(piece), frame.arrives_ns)

    def take(self, data: memoryview, arrives_ns: int) -> None:
        """Bytes from the peer, of a frame that arrives then."""
        try:
            self._deliver()
            while data:
                taken = fill(self._inbound.wants, data)
                data = data[taken:]
                self._inbound.received(taken)
                self._deliver()
        except ProtocolError as error:
            self._tell_damaged(self._side, arrives_ns, error)

    def _deliver(self) -> None:
        while (frame := self._inbound.next_frame()) is not None:
            self._side.heard(frame)

    async def flush(self) -> None:
        """Nothing waits here."""

    async def receive(self) -> Frame:
        raise NotImplementedError("what arrives is handed over at once")

    async def aclose(self) -> None:
        self._outbound.release()
        self._inbound.release()
