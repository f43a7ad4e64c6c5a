"""The source's way to the destination: as many connections as are asked for, each of which says who it is."""

from __future__ import annotations

import secrets
import socket
import time
from typing import TYPE_CHECKING

import trio

from livemig.errors import ConnectTimeout, TlsError, UsageError
from livemig.link.channel import Channel
from livemig.link.joining import joined
from livemig.link.preempt_channel import NO_PREEMPT
from livemig.link.socket_channel import SocketChannel
from livemig.link.stream import SocketStream, Stream
from livemig.link.uri import UnixAddress, connect, parse_uri
from livemig.machine.ram import Watch
from livemig.migration.frames import Frame

if TYPE_CHECKING:
    import ssl


async def open_channel(
    uri: str,
    timeout_ns: int,
    memory: memoryview | None = None,
    channels: int = 0,
    credentials: ssl.SSLContext | None = None,
    alive_every: float | None = None,
    watch: Watch | None = None,
    preempt: int = NO_PREEMPT,
) -> Channel:
    """A channel to the destination at `uri`, for which this waits.

    Args:
        timeout_ns: of real time, for all of it. memory, watch: guest RAM, see `Channel`.
        channels: connections for pages beside the main one; with none of them that carries pages too.
        credentials: for `tls:`. alive_every: seconds of silence between signs of life. preempt: whether, and how, one
            more is for pages that are asked for: see `livemig.link.preempt_channel`.

    Raises:
        ConnectTimeout: nobody within the time. TlsError: a certificate is not what it must be.
    """
    session = secrets.token_hex(16)
    deadline = time.monotonic_ns() + timeout_ns
    opened: list[SocketChannel] = []
    try:
        total = channels + (preempt != NO_PREEMPT)
        for index in range(total + 1):
            lives = not index or (preempt != NO_PREEMPT and index == total)
            sock = await connect(uri, max(deadline - time.monotonic_ns(), 1))
            stream = await _secured(sock, uri, deadline, credentials)
            channel = SocketChannel(stream, memory, alive_every if lives else None, watch)
            opened.append(channel)
            said = {"session": session, "index": index, "channels": total, "preempt": preempt}
            channel.post(Frame("channel", 0, 0, said))
    except BaseException:
        with trio.CancelScope(shield=True):
            for channel in opened:
                await channel.aclose()
        raise
    return joined(opened, preempt, memory)


async def _secured(sock: socket.socket, uri: str, deadline: int, credentials: ssl.SSLContext | None) -> Stream:
    address = parse_uri(uri)
    if isinstance(address, UnixAddress) or not address.secure:
        return SocketStream(sock)
    from livemig.link.tls import prove_to_server

    if credentials is None:
        raise UsageError(f"{uri}: no certificates to prove ourselves with")
    began = time.monotonic_ns()
    with trio.move_on_after(max(deadline - began, 0) / 1e9):
        try:
            return await prove_to_server(sock, credentials, address.host)
        except TlsError as error:
            raise TlsError(f"{uri}: {error}") from None
    raise ConnectTimeout(uri, deadline - began, "it does not answer the handshake")
