"""Bytes over a connected socket."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from livemig.link.stream import SocketStream

MIB = 1 << 20


def loopback(host: str) -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if family == socket.AF_INET6 and not Path("/proc/net/if_inet6").exists():
        pytest.skip("this kernel has no IPv6")
    with socket.create_server((host, 0), family=family) as listener:
        near = socket.create_connection(listener.getsockname()[:2])
        return near, listener.accept()[0]


@pytest.fixture(params=["unix", "127.0.0.1", "::1"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[SocketStream, SocketStream]]:
    pair = socket.socketpair() if request.param == "unix" else loopback(request.param)
    near, far = (SocketStream(sock) for sock in pair)
    yield near, far
    for stream in (near, far):
        stream.shut_down()
        stream.close()


def test_who_waits_for_a_frame_is_not_woken_by_the_room_that_the_other_thread_finds(
    ends: tuple[SocketStream, SocketStream],
) -> None:
    """64 MiB through a buffer of some hundred KiB: hundreds of times there is room again."""
    near, far = ends
    slept: list[int] = []

    def wait() -> None:
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        assert near.read_into([memoryview(bytearray(8))]) == 8
        slept.append(resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before)

    def drain() -> None:
        room = memoryview(bytearray(MIB))
        for _ in range(64):
            assert far.read_into([room]) == MIB

    threads = [Thread(target=wait), Thread(target=drain)]
    for thread in threads:
        thread.start()
    for _ in range(64):
        near.write(bytes(MIB))
    threads[1].join()
    far.write(bytes(8))
    threads[0].join()
    assert slept[0] < 20


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_nothing_paces_what_goes_over_the_loopback(host: str) -> None:
    """Whatever the system's congestion control is; and the peer's end does as well."""
    for sock in loopback(host):
        with suppress(OSError):  # not every kernel has it
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        stream = SocketStream(sock)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") == b"reno"
        stream.close()


def test_a_connection_that_is_gone_already_is_no_error_yet() -> None:
    near, far = loopback("127.0.0.1")
    far.close()
    near.shutdown(socket.SHUT_RDWR)
    stream = SocketStream(near)
    assert stream.read_into([memoryview(bytearray(8))]) == 0
    stream.close()
