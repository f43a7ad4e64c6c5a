"""What only a channel over a socket has to do: threads, and a kernel between the two."""

from __future__ import annotations

import socket
import struct

import pytest
import trio
import trio.testing
from ends import KINDS, PAGE, connected, link_threads, on_trio, ram, sockets

from livemig.errors import PeerLost
from livemig.link.socket_channel import SocketChannel
from livemig.link.stream import SocketStream
from livemig.migration.frames import Frame, encode

BYE = Frame("bye", 0, 0)
BOTH = pytest.mark.parametrize("kind", ["unix", "tcp"])
ALL = pytest.mark.parametrize("kind", KINDS[:3] + KINDS[4:])


@ALL
@on_trio
async def test_more_than_any_socket_buffers_goes_both_ways_at_once(kind: str) -> None:
    one, other = ram(8192, seed=1), ram(8192, seed=2)
    half = len(one) // 2
    async with connected(kind, one, other) as (near, far):
        for first in range(0, 4096, 256):
            near.post(Frame("pages", 0, 0, {"runs": [[first, 256]], "zero": []}))
            far.post(Frame("pages", 0, 0, {"runs": [[4096 + first, 256]], "zero": []}))
        near.post(BYE)
        far.post(BYE)
        assert await far.receive() == BYE
        assert await near.receive() == BYE
    assert one[:] == other[:]
    assert one[:PAGE] != one[half : half + PAGE]


@ALL
@on_trio
async def test_content_is_what_ram_holds_when_it_is_sent(kind: str) -> None:
    source, destination = ram(4096), ram(4096)
    async with connected(kind, source, destination) as (near, far):
        for first in range(0, 4096, 256):  # blocks: nobody reads, and 16 MiB are too much for the kernel
            near.post(Frame("pages", 0, 0, {"runs": [[first, 256]], "zero": []}))
        near.post(BYE)
        source[-PAGE:] = b"n" * PAGE
        await far.receive()
    assert destination[-PAGE:] == b"n" * PAGE


@BOTH
@on_trio
async def test_a_channel_has_two_threads_where_the_peer_may_write_to_ram_and_closes_its_socket(kind: str) -> None:
    one, other = sockets(kind)
    with other:
        async with SocketChannel(SocketStream(one)) as channel:
            assert link_threads() == ["livemig-send"]
            channel.grant(memoryview(ram(1)))
            assert link_threads() == ["livemig-send", "livemig-receive"]
        assert link_threads() == []
        assert one.fileno() == -1
        other.settimeout(1)
        assert other.recv(1) == b""


@ALL
@on_trio
async def test_a_peer_that_resets_the_connection_while_it_is_sent_to_is_lost(kind: str) -> None:
    memory = ram(4096, seed=1)
    async with connected(kind, memory, ram(4096)) as (near, far):
        for first in range(0, 4096, 256):
            near.post(Frame("pages", 0, 0, {"runs": [[first, 256]], "zero": []}))
        await trio.sleep(0.01)
        await far.aclose()
        with pytest.raises(PeerLost):
            await near.flush()
        with pytest.raises(PeerLost):
            near.post(BYE)


@on_trio
async def test_a_connection_that_is_reset_while_one_waits_is_lost() -> None:
    one, other = sockets("tcp")
    async with SocketChannel(SocketStream(one)) as channel:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        other.close()
        with pytest.raises(PeerLost):
            await channel.receive()


@ALL
@on_trio
async def test_cancelled_receives_read_no_further_than_one(kind: str) -> None:
    source, destination = ram(2, seed=1), ram(2)
    async with connected(kind, source, destination) as (near, far):
        for _ in range(3):
            with trio.move_on_after(0.001):
                await far.receive()
        for page in range(2):
            near.post(Frame("pages", 0, 0, {"runs": [[page, 1]], "zero": []}))
            near.post(BYE)
        await near.flush()
        await far.receive()
        await trio.sleep(0.02)
        assert far.tally.pages == 1
        assert destination[PAGE:] == bytes(PAGE)


@on_trio
async def test_a_channel_that_is_closed_as_something_comes_is_closed() -> None:
    """Both in one turn of the scheduler, which takes tasks in any order: so often enough that each comes first."""
    ended: list[str] = []

    async def hear(channel: SocketChannel) -> None:
        try:
            while True:
                await channel.receive()
        except trio.ClosedResourceError:
            ended.append("closed")

    for _ in range(60):
        near, far = sockets("unix")
        channel = SocketChannel(SocketStream(near))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hear, channel)
            await trio.testing.wait_all_tasks_blocked()
            far.sendall(encode(BYE, 0))
            await trio.lowlevel.checkpoint()
            await channel.aclose()
        far.close()
    assert ended == ["closed"] * 60
