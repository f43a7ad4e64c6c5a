"""TLS 1.3 with certificates on both sides, over TCP.

An `SSLSocket` must not be used by two threads at once, and a channel has two: so the socket does not block, each call
is made under a lock, and the threads wait outside it.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Final, TypeVar

import trio

from livemig.errors import TlsError
from livemig.link.buffers import Buffers
from livemig.link.stream import Stream, end, tune
from livemig.migration.frames import ALIVE

T = TypeVar("T")

_LARGEST_READ: Final = 1 << 20


class TlsStream(Stream):
    """Takes over `sock`, its handshake done."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        tune(sock)
        self.identity = sock.getpeercert(binary_form=True) or b""
        self._sock = sock
        self._reset = False
        self._lock = threading.Lock()

    def write(self, *buffers: bytes | memoryview) -> None:
        rest = memoryview(buffers[0] if len(buffers) == 1 else b"".join(buffers))
        while rest:
            try:
                with self._lock:
                    sent = self._sock.send(rest)
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError) as want:
                self._wait(want)
            else:
                rest = rest[sent:]

    def read_into(self, buffers: Buffers) -> int:
        while True:
            try:
                return self._read(buffers)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as want:
                self._wait(want)

    def read_some(self, buffers: Buffers) -> int | None:
        while True:
            try:
                return self._read(buffers)
            except ssl.SSLWantReadError:
                return None
            except ssl.SSLWantWriteError as want:
                self._wait(want)

    def fileno(self) -> int:
        return self._sock.fileno()

    def _read(self, buffers: Buffers) -> int:
        try:
            with self._lock:
                return self._sock.recv_into(buffers[0][:_LARGEST_READ])
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            raise TlsError(f"TLS: {_reason(error)}") from None
        except OSError:
            return 0

    def shut_down(self, wake: bool = False) -> None:
        if wake or not self._reset:
            end(self._sock, reset=False)

    def break_off(self, reset: bool) -> None:
        self._reset = end(self._sock, reset)

    def close(self) -> None:
        self._sock.close()

    def _wait(self, want: ssl.SSLError) -> None:
        event = select.POLLOUT if isinstance(want, ssl.SSLWantWriteError) else select.POLLIN
        poll = select.poll()
        poll.register(self._sock, event)
        poll.poll()


async def prove_to_server(sock: socket.socket, context: ssl.SSLContext, host: str) -> TlsStream:
    """The client's end of a secure connection over `sock`, which is closed if there is none.

    Returns when the server has accepted our certificate, of which TLS 1.3 itself says nothing until something is read.

    Raises:
        TlsError: the certificate of one is not what the other takes, or the peer speaks no TLS.
    """
    secure = context.wrap_socket(_unblocked(sock), server_hostname=host, do_handshake_on_connect=False)
    try:
        await _when_ready(secure, secure.do_handshake)
        sign = await _when_ready(secure, lambda: secure.recv(len(ALIVE)))  # one record: it comes whole
        if sign != ALIVE:
            raise TlsError("TLS: the peer ended the connection" if not sign else "TLS: the peer is no destination")
        return TlsStream(secure)
    except BaseException:
        secure.close()
        raise


async def prove_to_client(sock: socket.socket, context: ssl.SSLContext) -> TlsStream:
    """The server's end of a secure connection over `sock`, which is closed if there is none.

    Raises:
        TlsError: the certificate of one is not what the other takes, or the peer speaks no TLS.
    """
    secure = context.wrap_socket(_unblocked(sock), server_side=True, do_handshake_on_connect=False)
    try:
        await _when_ready(secure, secure.do_handshake)
        stream = TlsStream(secure)
        stream.write(ALIVE)  # a socket that is empty yet takes it at once
        return stream
    except BaseException:
        with contextlib.suppress(OSError):  # closed at once, what the peer has sent meanwhile would cost it the reason
            socket.socket.shutdown(secure, socket.SHUT_WR)
        secure.close()
        raise


def _unblocked(sock: socket.socket) -> socket.socket:
    sock.setblocking(False)
    return sock


async def _when_ready(sock: ssl.SSLSocket, operation: Callable[[], T]) -> T:
    while True:
        try:
            return operation()
        except ssl.SSLWantReadError:
            await trio.lowlevel.wait_readable(sock)
        except ssl.SSLWantWriteError:
            await trio.lowlevel.wait_writable(sock)
        except ssl.SSLCertVerificationError as error:
            raise TlsError(f"TLS: the peer's certificate is not accepted: {error.verify_message}") from None
        except ssl.SSLError as error:
            raise TlsError(f"TLS: {_reason(error)}") from None
        except OSError as error:
            raise TlsError(f"TLS: the handshake ended: {error.strerror or error}") from None


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's, in words."""
    words = (error.reason or "the connection ended").lower().replace("_", " ")
    alert = re.fullmatch(r"(?:ssl|tls)v\d+ alert (.*)", words)
    return f"the peer gave up: {alert[1]}" if alert else words
