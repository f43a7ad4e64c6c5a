"""A channel over a connected stream socket, bulk transfer in two threads of its own.

As long as the peer may not write to RAM what it sends is small, and is read by the task that wants it: to wake a
thread, and have that wake the task, takes longer than to read it.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Final

import numpy as np
import trio
from numpy.typing import NDArray

from livemig.errors import LinkError, PeerLost
from livemig.link.channel import Breakable, Channel, PagesTally
from livemig.link.faults.harm import NO_HARM, Harm
from livemig.link.inbound import Inbound
from livemig.link.outbound import Outbound
from livemig.link.receiver import Receiver
from livemig.link.sender import Outgoing, Sender
from livemig.link.stream import Stream
from livemig.machine.ram import Watch
from livemig.migration.frames import Frame

_PATIENCE_S: Final = 0.2
"""How long a thread that writes may hold up the reset of its connection."""


class SocketChannel(Channel, Breakable):
    """Takes over `stream`. To be made inside `trio.run`.

    Args:
        memory, watch: guest RAM, see `Channel`.
        alive_every: seconds of silence between signs of life, see `Sender`.
        stranger: who the peer is shows later, with `grant`; until then no payload of his is taken.
    """

    def __init__(
        self,
        stream: Stream,
        memory: memoryview | None = None,
        alive_every: float | None = None,
        watch: Watch | None = None,
        stranger: bool = False,
    ) -> None:
        self._stream = stream
        self._token = trio.lowlevel.current_trio_token()
        self._outbound, self._inbound = Outbound(memory, watch), Inbound(None)
        self._inbound.stranger = stranger
        self._answer, self._answers = trio.open_memory_channel[Frame | Exception](1)
        self._asked = False
        self._lost = False
        self._closed = False
        self._few = False
        self._sender = Sender(stream, self._outbound, alive_every)
        self._receiver: Receiver | None = None

    @property
    def tally(self) -> PagesTally:
        return self._inbound.tally

    @property
    def signs(self) -> int:
        return self._inbound.whole + self._sender.written

    @property
    def signs_of_life(self) -> int:
        return self._inbound.alive

    @property
    def ahead(self) -> int:
        return self._sender.ahead

    def expect_few(self) -> None:
        """Pages will come one at a time, and somebody waits for each: no thread is to read them. Before `grant`."""
        self._few = True

    def grant(self, memory: memoryview, watch: Watch | None = None) -> None:
        self._inbound.memory = self._outbound.memory = memory
        self._inbound.stranger = False
        self._inbound.watch = self._outbound.watch = watch
        if self._receiver is None and not self._few:
            self._receiver = Receiver(self._stream, self._inbound, self._deliver)

    def restrict(self, takes: NDArray[np.bool_]) -> None:
        self._inbound.takes = takes

    def post(self, frame: Frame, *, not_before: float | None = None, harm: Harm = NO_HARM) -> None:
        self._require_connection()
        self._sender.put(Outgoing(self._outbound.header(frame), frame, not_before or 0.0, harm))

    async def flush(self) -> None:
        self._require_connection()
        written = trio.Event()
        self._sender.put(partial(self._token.run_sync_soon, written.set))
        await written.wait()
        self._require_connection()

    async def receive(self) -> Frame:
        self._require_open()
        if self._receiver is None:
            return await self._read()
        if not self._asked:
            self._asked = True
            self._receiver.ask()
        answer = await self._answers.receive()
        self._asked = False
        if isinstance(answer, Exception):
            self._lost = isinstance(answer, LinkError)
            raise answer
        return answer

    async def _read(self) -> Frame:
        await trio.lowlevel.checkpoint_if_cancelled()
        waited = False
        try:
            while (frame := self._inbound.next_frame()) is None:
                taken = self._stream.read_some(self._inbound.wants)
                if taken is None:
                    await trio.lowlevel.wait_readable(self._stream.fileno())
                    waited = True
                    self._require_open()  # it may have been closed as something came
                else:
                    self._inbound.received(taken)
        except LinkError:
            self._lost = True
            raise
        if not waited:  # others are to come to their turn, and the frame is not to be lost
            await trio.lowlevel.cancel_shielded_checkpoint()
        return frame

    def silence(self, at_once: bool) -> None:
        if at_once:
            self._sender.fall_silent()
        else:
            self._sender.put(self._sender.fall_silent)

    def break_off(self, reset: bool) -> None:
        self._sender.fall_silent()
        if not self._closed:
            self._stream.break_off(reset)

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._stream.shut_down()
            if not self._sender.stop(_PATIENCE_S):
                self._stream.shut_down(wake=True)
                self._sender.stop()
            if self._receiver is not None:
                self._receiver.stop()
            trio.lowlevel.notify_closing(self._stream.fileno())
            self._stream.close()
            self._outbound.release()
            self._inbound.release()
            self._answers.close()
        await trio.lowlevel.checkpoint()

    def _deliver(self, answer: Frame | Exception) -> None:
        """Called by the receiving thread."""
        self._token.run_sync_soon(self._answered, answer)

    def _answered(self, answer: Frame | Exception) -> None:
        with contextlib.suppress(trio.BrokenResourceError):  # closed meanwhile
            self._answer.send_nowait(answer)

    def _require_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError

    def _require_connection(self) -> None:
        self._require_open()
        if self._lost or self._sender.failure is not None:
            raise PeerLost("sending") from self._sender.failure
