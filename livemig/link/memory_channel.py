"""A channel inside one process, for tests: the same bytes, no socket and no thread."""

from __future__ import annotations

import math
import time

import numpy as np
import trio
from numpy.typing import NDArray

from livemig.errors import PeerLost
from livemig.link.buffers import fill
from livemig.link.channel import Channel, PagesTally
from livemig.link.faults.harm import NO_HARM, Harm
from livemig.link.inbound import Inbound
from livemig.link.outbound import Outbound
from livemig.machine.ram import Watch
from livemig.migration.frames import Frame

Chunk = tuple[float, bytes]
"""Not before `time.monotonic()` (s); what then arrives."""


class MemoryChannel(Channel):
    """Two unbounded queues of bytes; page content is read when it is posted.

    Args:
        outgoing: what the peer receives from.
        incoming: what the peer sends to.
        memory: guest RAM, see `Channel`.
    """

    def __init__(
        self,
        outgoing: trio.MemorySendChannel[Chunk],
        incoming: trio.MemoryReceiveChannel[Chunk],
        memory: memoryview | None = None,
    ) -> None:
        self._outgoing, self._incoming = outgoing, incoming
        self._outbound, self._inbound = Outbound(memory), Inbound(None)
        self._last_not_before = 0.0
        self._next: Chunk | None = None
        self._here = memoryview(b"")
        self._closed = False

    @classmethod
    def pair(
        cls, memory: memoryview | None = None, peers_memory: memoryview | None = None
    ) -> tuple[MemoryChannel, MemoryChannel]:
        """Two ends of a connection."""
        there, from_here = trio.open_memory_channel[Chunk](math.inf)
        here, from_there = trio.open_memory_channel[Chunk](math.inf)
        return cls(there, from_there, memory), cls(here, from_here, peers_memory)

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
        self._inbound.memory = self._outbound.memory = memory

    def restrict(self, takes: NDArray[np.bool_]) -> None:
        self._inbound.takes = takes

    def post(self, frame: Frame, *, not_before: float | None = None, harm: Harm = NO_HARM) -> None:
        header = self._outbound.header(frame)
        self._last_not_before = max(self._last_not_before, not_before or 0.0)
        data = header + b"".join(map(b"".join, self._outbound.payload(frame)))
        try:
            self._outgoing.send_nowait((self._last_not_before, data))
        except trio.BrokenResourceError:
            raise PeerLost("sending") from None

    async def flush(self) -> None:
        self._require_open()
        await _sleep_until(self._last_not_before)
        self._require_open()
        if not self._outgoing.statistics().open_receive_channels:
            raise PeerLost("sending")

    async def receive(self) -> Frame:
        await trio.lowlevel.checkpoint()
        self._require_open()
        while (frame := self._inbound.next_frame()) is None:
            if not self._here:
                await self._arrive()
            taken = fill(self._inbound.wants, self._here)
            self._here = self._here[taken:]
            self._inbound.received(taken)
        return frame

    async def aclose(self) -> None:
        self._closed = True
        self._outgoing.close()
        self._incoming.close()
        self._outbound.release()
        self._inbound.release()
        await trio.lowlevel.checkpoint()

    def _require_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError

    async def _arrive(self) -> None:
        """Bytes `_here`; none at the end of the stream."""
        try:
            self._next = self._next or await self._incoming.receive()
        except trio.EndOfChannel:
            return
        not_before, data = self._next
        await _sleep_until(not_before)
        self._next, self._here = None, memoryview(data)


async def _sleep_until(instant: float) -> None:
    await trio.sleep(max(0.0, instant - time.monotonic()))
