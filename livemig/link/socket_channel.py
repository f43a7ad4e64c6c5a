"""A channel over a connected stream socket, bulk transfer in two threads of its own.

Scattered pages are one iovec each, on both sides, read and written in place. To gather them in a buffer first is
no faster (measured): what the system call saves, the second copy costs.
"""

from __future__ import annotations

import contextlib
import socket
from functools import partial
from typing import Final

import trio

from livemig.errors import PeerLost
from livemig.link.channel import Channel
from livemig.link.inbound import Inbound
from livemig.link.outbound import Outbound
from livemig.link.receiver import Receiver
from livemig.link.sender import Outgoing, Sender
from livemig.migration.frames import Frame

_UNIX_BUFFER: Final = 1 << 18
"""Bytes on their way. With Linux' default of 208 KiB the two sides wait for each other: a third slower."""


class SocketChannel(Channel):
    """Takes over `sock`, connected. To be made inside `trio.run`.

    Args:
        memory: guest RAM, see `Channel`.
    """

    def __init__(self, sock: socket.socket, memory: memoryview | None = None) -> None:
        _tune(sock)
        self._sock = sock
        self._token = trio.lowlevel.current_trio_token()
        self._outbound, self._inbound = Outbound(memory), Inbound(memory)
        self.tally = self._inbound.tally
        self._answer, self._answers = trio.open_memory_channel[Frame | Exception](1)
        self._asked = False
        self._lost = False
        self._closed = False
        self._sender = Sender(sock, self._outbound)
        self._receiver = Receiver(sock, self._inbound, self._deliver)

    def post(self, frame: Frame, *, not_before: float | None = None) -> None:
        self._require_connection()
        self._sender.put(Outgoing(self._outbound.header(frame), frame, not_before or 0.0))

    async def flush(self) -> None:
        self._require_connection()
        written = trio.Event()
        self._sender.put(partial(self._token.run_sync_soon, written.set))
        await written.wait()
        self._require_connection()

    async def receive(self) -> Frame:
        if self._closed:
            raise trio.ClosedResourceError
        if not self._asked:
            self._asked = True
            self._receiver.ask()
        answer = await self._answers.receive()
        self._asked = False
        if isinstance(answer, Exception):
            self._lost = isinstance(answer, PeerLost)
            raise answer
        return answer

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            with contextlib.suppress(OSError):  # the peer was faster
                self._sock.shutdown(socket.SHUT_RDWR)
            self._sender.stop()
            self._receiver.stop()
            self._sock.close()
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

    def _require_connection(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError
        if self._lost or self._sender.failure is not None:
            raise PeerLost("sending") from self._sender.failure


def _tune(sock: socket.socket) -> None:
    sock.setblocking(True)
    if sock.family == socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNIX_BUFFER)
    else:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
