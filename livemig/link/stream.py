"""Bytes over a connected socket, for two threads, of which one writes and one reads; or for a task that waits for
nothing but what is to be read."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from abc import ABC, abstractmethod
from ipaddress import ip_address
from typing import Final

from livemig.link.buffers import Buffers, behind

_NO_LINGER: Final = struct.pack("ii", 1, 0)
_UNIX_BUFFER: Final = 1 << 18
"""Bytes on their way. With more the two sides come into each other's way in the cache, with much less they wait."""
_ON_LOOPBACK: Final = b"reno"
"""Congestion control where nothing can be congested, and which every kernel has and lets anybody ask for. BBR, the
default of some systems, sends no faster than it has seen the peer read: it costs half the bandwidth."""
_BULK: Final = 1 << 12
"""Bytes from which on a read is of pages, which come one after the other."""


class Stream(ABC):
    """A connection. What a thread waits in is ended by `shut_down`, from any thread."""

    identity: bytes = b""
    """The peer's certificate (DER), where it had to prove itself with one."""

    @abstractmethod
    def write(self, *buffers: bytes | memoryview) -> None:
        """Write all of them, however long that takes.

        Raises:
            OSError: the connection is gone.
        """

    def write_some(self, buffers: Buffers) -> int:
        """Write of `buffers` what the connection takes without a wait, and give how much that is; nothing where that
        cannot be known. Never fails: what is wrong is found by who writes the rest."""
        return 0

    @abstractmethod
    def read_into(self, buffers: Buffers) -> int:
        """Read into `buffers`, at least a byte; 0 at the end, however it came.

        Raises:
            TlsError: the peer says why it ends it.
        """

    @abstractmethod
    def read_some(self, buffers: Buffers) -> int | None:
        """The same without a wait; None: there is nothing yet, and `fileno` will be readable when there is."""

    @abstractmethod
    def fileno(self) -> int:
        """Of the socket."""

    @abstractmethod
    def shut_down(self, wake: bool = False) -> None:
        """End both directions at once; after a `break_off` by reset only if a thread must be woken."""

    @abstractmethod
    def break_off(self, reset: bool) -> None:
        """End both directions at once; `reset`: the peer is to get a RST when it is closed, not an end of the stream,
        where there is such a thing. Wakes who reads."""

    @abstractmethod
    def close(self) -> None:
        """Give the socket back; no thread may be in it."""


def end(sock: socket.socket, reset: bool) -> bool:
    """As `Stream.break_off`; whether it will be reset."""
    reset = reset and sock.family != socket.AF_UNIX
    with contextlib.suppress(OSError):  # the peer was faster
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        # not SSLSocket's own, which would let the other thread read what is encrypted as if it were not
        socket.socket.shutdown(sock, socket.SHUT_RD if reset else socket.SHUT_RDWR)
    return reset


class SocketStream(Stream):
    """A plain socket, blocking."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._reset = False
        sock.setblocking(True)
        tune(sock)
        self._arrival = select.poll()
        self._arrival.register(sock, select.POLLIN)

    def write(self, *buffers: bytes | memoryview) -> None:
        left: Buffers = [memoryview(buffer) for buffer in buffers] if len(buffers) > 1 else ()
        while left:
            left = behind(left, self._sock.sendmsg(left))
        if len(buffers) == 1:
            self._sock.sendall(buffers[0])

    def write_some(self, buffers: Buffers) -> int:
        try:
            return self._sock.sendmsg(buffers, (), socket.MSG_DONTWAIT)
        except OSError:
            return 0

    def read_into(self, buffers: Buffers) -> int:
        if len(buffers) == 1 and len(buffers[0]) < _BULK:
            self._arrival.poll()  # a reader in recvmsg is woken whenever a writer finds room, and holds it up
        try:
            return self._sock.recvmsg_into(buffers, 0, socket.MSG_WAITALL)[0]
        except OSError:
            return 0  # reset, or shut down on this side: the end of the stream either way

    def read_some(self, buffers: Buffers) -> int | None:
        try:
            return self._sock.recvmsg_into(buffers, 0, socket.MSG_DONTWAIT)[0]
        except BlockingIOError:
            return None
        except OSError:
            return 0

    def fileno(self) -> int:
        return self._sock.fileno()

    def shut_down(self, wake: bool = False) -> None:
        if wake or not self._reset:
            end(self._sock, reset=False)

    def break_off(self, reset: bool) -> None:
        self._reset = end(self._sock, reset)

    def close(self) -> None:
        self._sock.close()


def tune(sock: socket.socket) -> None:
    """Set what suits a stream of frames."""
    if sock.family == socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNIX_BUFFER)
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):  # gone already, or a kernel without
        if ip_address(sock.getpeername()[0].partition("%")[0]).is_loopback:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, _ON_LOOPBACK)
