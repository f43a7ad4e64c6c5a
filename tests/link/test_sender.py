"""Who writes a frame: whoever posts it, where it is small and the line is free; the thread else. Always in order."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from ends import PAGE, ram, sockets
from hypothesis import given
from hypothesis import strategies as st

from livemig.link.buffers import Buffers
from livemig.link.inbound import Inbound
from livemig.link.outbound import Outbound
from livemig.link.sender import Outgoing, Sender
from livemig.link.stream import SocketStream, Stream
from livemig.machine.ram import Watch
from livemig.migration.frames import Frame

PAGES = 24
BYE = Frame("bye", 0, 0)


class Taking(Stream):
    """Takes at once what it is told to, of each write in turn; everything, but in its time, of the thread's."""

    def __init__(self, amounts: list[int]) -> None:
        self.bytes = bytearray()
        self.by: list[str] = []
        self._amounts = amounts

    def write(self, *buffers: bytes | memoryview) -> None:
        time.sleep(0.0002)
        self._keep(b"".join(buffers))

    def write_some(self, buffers: Buffers) -> int:
        data = b"".join(buffers)[: self._amounts.pop(0) if self._amounts else 0]
        if data:
            self._keep(data)
        return len(data)

    def _keep(self, data: bytes) -> None:
        self.by.append(threading.current_thread().name)
        self.bytes += data

    def read_into(self, buffers: Buffers) -> int:
        return 0

    def read_some(self, buffers: Buffers) -> int | None:
        return None

    def fileno(self) -> int:
        return -1

    def shut_down(self, wake: bool = False) -> None: ...
    def break_off(self, reset: bool) -> None: ...
    def close(self) -> None: ...


def pages(first: int, count: int) -> Frame:
    return Frame("pages", 0, 0, {"runs": [[first, count]], "zero": []})


def post(sender: Sender, outbound: Outbound, frame: Frame, not_before: float = 0.0) -> None:
    sender.put(Outgoing(outbound.header(frame), frame, not_before))


def finish(sender: Sender) -> None:
    """Wait until everything is written, and end it."""
    written = threading.Event()
    sender.put(written.set)
    assert written.wait(10)
    sender.stop()


@given(
    st.lists(st.sampled_from([0, 1, 2, 9]), max_size=12), st.lists(st.sampled_from([0, 7, 100, 5000, 1 << 20])),
    st.booleans(),
)  # fmt: skip
def test_frames_come_out_in_order_whatever_the_socket_takes_at_once(
    counts: list[int], amounts: list[int], marks: bool
) -> None:
    """9 pages are more than are written at once, 0 of them is a frame without any."""
    memory, received = ram(PAGES, seed=3), ram(PAGES)
    frames = [pages(index, count) if count else BYE for index, count in enumerate(counts)]
    stream, outbound = Taking(amounts), Outbound(memoryview(memory), Watch(PAGES))
    sender = Sender(stream, outbound)
    for frame in frames:
        post(sender, outbound, frame)
        if marks:
            sender.put(lambda: None)
    finish(sender)
    assert sender.ahead == 0
    assert sender.written == len(stream.bytes)
    inbound, left, byes = Inbound(memoryview(received)), memoryview(bytes(stream.bytes)), 0
    while True:
        byes += inbound.next_frame() is not None
        if not left:
            break
        for wanted in inbound.wants[:1]:
            taken = min(len(wanted), len(left))
            wanted[:taken], left = left[:taken], left[taken:]
            inbound.received(taken)
    assert inbound.whole == len(frames)
    assert byes == counts.count(0)
    for index, count in enumerate(counts):
        where = slice(index * PAGE, (index + count) * PAGE)
        assert received[where] == memory[where]


def test_what_is_small_is_written_by_whoever_posts_it_and_what_is_not_by_the_thread() -> None:
    memory = ram(PAGES, seed=3)
    stream, outbound = Taking([1 << 20] * 9), Outbound(memoryview(memory))
    sender = Sender(stream, outbound)
    post(sender, outbound, pages(0, 1))
    post(sender, outbound, pages(0, 9))
    post(sender, outbound, BYE)  # behind it
    finish(sender)
    here = threading.current_thread().name
    assert stream.by[0] == here
    assert set(stream.by[1:]) == {"livemig-send"}


def test_a_frame_that_must_not_leave_yet_is_the_threads() -> None:
    stream, outbound = Taking([1 << 20] * 9), Outbound(None)
    sender = Sender(stream, outbound)
    began = time.monotonic()
    post(sender, outbound, BYE, not_before=began + 0.05)
    assert time.monotonic() - began < 0.05
    finish(sender)
    assert time.monotonic() - began >= 0.05
    assert stream.by == ["livemig-send"]


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_socket_that_is_full_holds_up_the_thread_and_not_who_posts(kind: str) -> None:
    near, far = sockets(kind)
    stream, outbound = SocketStream(near), Outbound(memoryview(ram(PAGES, seed=3)))
    sender = Sender(stream, outbound)
    began = time.monotonic()
    for _ in range(4000):  # 12 MiB, and nobody reads
        post(sender, outbound, pages(0, 3))
    assert time.monotonic() - began < 10
    assert sender.ahead > 1 << 20
    far.settimeout(10)
    got = 0
    while got < 4000 * 3 * PAGE:
        got += len(far.recv(1 << 20))
    finish(sender)
    far.close()
    stream.close()


def test_a_peer_that_is_gone_is_found_by_the_thread() -> None:
    near, far = socket.socketpair()
    stream, outbound = SocketStream(near), Outbound(None)
    sender = Sender(stream, outbound)
    far.close()
    post(sender, outbound, BYE)
    finish(sender)
    assert isinstance(sender.failure, ConnectionError)
    stream.close()
