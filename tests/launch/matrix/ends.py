"""Either end of the link in the middle: what a proxy reads and writes, in the clear whatever goes over the wire."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from pathlib import Path

from livemig.errors import TlsError
from livemig.link.credentials import CLIENT, SERVER, context
from livemig.link.tls import TlsStream
from livemig.link.uri import TcpAddress, UnixAddress, parse_uri

_RESET = struct.pack("ii", 1, 0)


class End:
    """A connected socket, plain; two threads at most, of which one reads."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def recv(self, size: int) -> bytes:
        """At least a byte; nothing at the end."""
        return self._sock.recv(size)

    def sendall(self, data: bytes) -> None:
        self._sock.sendall(data)

    def shut(self, how: int) -> None:
        """Of one direction, without a word: what a line does that breaks off."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, how)

    def reset(self) -> None:
        """Whoever reads here lets go; `close` is an RST then, where there is such a thing."""
        with contextlib.suppress(OSError):
            if self._sock.family == socket.AF_UNIX:
                self._sock.shutdown(socket.SHUT_RDWR)
            else:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                self.shut(socket.SHUT_RD)

    def close(self) -> None:
        self._sock.close()


class SecureEnd(End):
    """The same, TLS spoken on it."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        super().__init__(sock)
        sock.setblocking(False)
        self._stream = TlsStream(sock)

    def recv(self, size: int) -> bytes:
        room = bytearray(size)
        try:
            return bytes(room[: self._stream.read_into((memoryview(room),))])
        except TlsError:
            return b""

    def sendall(self, data: bytes) -> None:
        self._stream.write(data)


def listener(transport: str, place: Path) -> tuple[socket.socket, str]:
    """Where a source finds the proxy, and its URI."""
    if transport == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(place))
        sock.listen()
        return sock, f"unix:{place}"
    sock = socket.create_server(("127.0.0.1", 0))
    return sock, f"{transport}:127.0.0.1:{sock.getsockname()[1]}"


def accepted(sock: socket.socket, transport: str, tls: Path) -> End:
    """The source's end, once it has come."""
    if transport != "tls":
        return End(sock)
    return SecureEnd(context(tls, SERVER).wrap_socket(sock, server_side=True))


def connected(uri: str, tls: Path) -> End:
    """The destination's end."""
    address = parse_uri(uri)
    if isinstance(address, UnixAddress):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(address.path)
        return End(sock)
    assert isinstance(address, TcpAddress)
    sock = socket.create_connection((address.host, address.port))
    if not address.secure:
        return End(sock)
    return SecureEnd(context(tls, CLIENT).wrap_socket(sock, server_hostname=address.host))
