"""URIs of peers, `unix:PATH`, `tcp:HOST:PORT`, `tls:HOST:PORT`, and of files, `file:PATH`; listening, connecting."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import trio

from livemig.errors import AddressInUse, ConnectTimeout, UsageError

ALLOWED: Final = "unix:PATH, tcp:HOST:PORT, tcp:[IPV6]:PORT, the same with tls, file:PATH"

_MAX_PATH: Final = 107
"""Bytes of a unix socket's path, unix(7)."""

_RETRY_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A socket in the file system."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A port of a host; `host` is a name or an address, IPv6 without brackets; port 0 is any free one.

    `secure`: TLS is spoken there, and a certificate is shown by both.
    """

    host: str
    port: int
    secure: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self.secure else 'tcp'}:{host}:{self.port}"


def parse_uri(uri: str) -> UnixAddress | TcpAddress:
    """What `uri` names.

    Raises:
        UsageError: nothing, or a path too long for a socket.
    """
    scheme, _, rest = uri.partition(":")
    if scheme == "unix" and rest and "\0" not in rest:
        if len(os.fsencode(rest)) > _MAX_PATH:
            raise UsageError(f"{uri!r}: a socket's path has at most {_MAX_PATH} bytes")
        return UnixAddress(rest)
    if scheme in ("tcp", "tls"):
        host, _, port = rest.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        host = host[1:-1] if bracketed else host
        if host and bracketed == (":" in host) and _is_port(port):
            return TcpAddress(host, int(port), scheme == "tls")
    raise UsageError(f"{uri!r} is not a URI of a peer (allowed: {ALLOWED})")


def is_secure(uri: str) -> bool:
    """Whether TLS is spoken at `uri`.

    Raises:
        UsageError: it is malformed.
    """
    address = parse_uri(uri)
    return isinstance(address, TcpAddress) and address.secure


def file_path(uri: str) -> str | None:
    """The path in `file:PATH`; None: `uri` is of another kind."""
    scheme, _, path = uri.partition(":")
    return path if scheme == "file" and path and "\0" not in path else None


def socket_address(uri: str) -> dict[str, str]:
    """`uri` as QMP's ``SocketAddress``."""
    address = parse_uri(uri)
    if isinstance(address, UnixAddress):
        return {"type": "unix", "path": address.path}
    return {"type": "inet", "host": address.host, "port": str(address.port)}


async def connect(uri: str, timeout_ns: int) -> socket.socket:
    """A blocking socket connected to `uri`, TLS not yet spoken; tries again until there is somebody.

    Raises:
        ConnectTimeout: nobody within `timeout_ns` of real time.
        UsageError: a malformed URI.
    """
    address = parse_uri(uri)
    problem = ""
    with trio.move_on_after(timeout_ns / 1e9):
        while True:
            try:
                return await _connect_once(address)
            except OSError as error:
                problem = _reason(error)
            await trio.sleep(_RETRY_S)
    raise ConnectTimeout(uri, timeout_ns, problem)


def listen(uri: str, insecure: bool = False) -> tuple[socket.socket, str]:
    """A socket that listens at `uri`, and the URI at which it really does (port 0 is replaced).

    A unix socket can be used by its owner only. The file that a dead process left is replaced.

    Args:
        insecure: plain TCP may listen elsewhere than on loopback.

    Raises:
        AddressInUse: somebody else listens there.
        UsageError: a malformed URI, or a place where this cannot listen.
    """
    address = parse_uri(uri)
    try:
        if isinstance(address, UnixAddress):
            return _listen_unix(address), uri
        return _listen_tcp(address, insecure)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(uri) from None
        raise UsageError(f"{uri}: {error.strerror or error}") from error


def close(listener: socket.socket, bound: str) -> None:
    """Close what :func:`listen` gave, and remove what a unix socket leaves in the file system."""
    listener.close()
    address = parse_uri(bound)
    if isinstance(address, UnixAddress):
        with suppress(FileNotFoundError):
            os.unlink(address.path)


async def _connect_once(address: UnixAddress | TcpAddress) -> socket.socket:
    if isinstance(address, UnixAddress):
        stream = await trio.open_unix_socket(address.path)
    else:
        stream = await trio.open_tcp_stream(address.host, address.port)
    sock = socket.socket(fileno=stream.socket.detach())
    sock.setblocking(True)
    return sock


def _reason(error: OSError) -> str:
    """trio gives the errors of all addresses of a host as a group."""
    if isinstance(error.__cause__, ExceptionGroup):
        return "; ".join(getattr(each, "strerror", None) or str(each) for each in error.__cause__.exceptions)
    return error.strerror or str(error)


def _listen_unix(address: UnixAddress) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        os.fchmod(sock.fileno(), 0o600)  # what bind() creates has it: never is it open to others (Linux)
        try:
            sock.bind(address.path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not _is_stale(address):
                raise
            os.unlink(address.path)
            sock.bind(address.path)
        sock.listen()
    except BaseException:
        sock.close()
        raise
    return sock


def _is_stale(address: UnixAddress) -> bool:
    """Whether nobody listens behind the socket file.

    Asked with a datagram socket: a live stream socket answers EPROTOTYPE, and its owner never sees a connection.
    """
    if not stat.S_ISSOCK(os.lstat(address.path).st_mode):
        raise UsageError(f"{address}: exists and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        return probe.connect_ex(address.path) == errno.ECONNREFUSED


def _listen_tcp(address: TcpAddress, insecure: bool) -> tuple[socket.socket, str]:
    family, _, _, _, place = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
    host = str(place[0])
    if not (insecure or address.secure) and not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        raise UsageError(f"{address}: plain TCP listens on loopback only, unless given --insecure")
    sock = socket.create_server((host, address.port), family=family)
    return sock, str(replace(address, port=sock.getsockname()[1]))


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) < 1 << 16
