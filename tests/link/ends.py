"""Connections of every kind to test channels with, and RAM to move."""

from __future__ import annotations

import atexit
import functools
import math
import mmap
import random
import shutil
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from livemig.link.channel import Channel
from livemig.link.credentials import CLIENT, SERVER, context, make
from livemig.link.memory_channel import Chunk, MemoryChannel
from livemig.link.multi_channel import MultiChannel
from livemig.link.socket_channel import SocketChannel
from livemig.link.stream import SocketStream, Stream
from livemig.link.tls import prove_to_client, prove_to_server
from livemig.migration.frames import Frame, encode

PAGE = 4096
STREAMS = ("unix", "tcp", "tls")
KINDS = ("unix", "tcp", "tls", "memory", "unix*3", "tcp*2", "tls*2")
"""`*n`: with n more connections, for pages."""
FENCES = 64
"""Frames of the main connection up to which a raw peer of several has let the others come."""


def on_trio(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run the test in trio; ten seconds are more than it takes."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def main() -> None:
            with trio.fail_after(10):
                await test(*args, **kwargs)

        trio.run(main)

    return run


def ram(pages: int, seed: int | None = None) -> mmap.mmap:
    """RAM of zeros, or of random bytes."""
    memory = mmap.mmap(-1, pages * PAGE)
    if seed is not None:
        memory[:] = random.Random(seed).randbytes(len(memory))
    return memory


def view(memory: mmap.mmap | None) -> memoryview | None:
    return None if memory is None else memoryview(memory)


def sockets(kind: str) -> tuple[socket.socket, socket.socket]:
    """Two connected ends."""
    if kind == "unix":
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        return near, listener.accept()[0]


@functools.cache
def certificates() -> Path:
    """A directory of them, for as long as the tests run."""
    place = Path(tempfile.mkdtemp(prefix="livemig-tests-"))
    atexit.register(shutil.rmtree, place)
    make(place)
    return place


async def streams(kind: str) -> tuple[Stream, Stream]:
    """The same, ready for channels."""
    one, other = sockets(kind)
    if kind != "tls":
        return SocketStream(one), SocketStream(other)
    found: dict[str, Stream] = {}

    async def client() -> None:
        found["near"] = await prove_to_server(one, context(certificates(), CLIENT), "localhost")

    async def server() -> None:
        found["far"] = await prove_to_client(other, context(certificates(), SERVER))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(client)
        nursery.start_soon(server)
    return found["near"], found["far"]


@asynccontextmanager
async def connected(
    kind: str, near_ram: mmap.mmap | None = None, far_ram: mmap.mmap | None = None
) -> AsyncIterator[tuple[Channel, Channel]]:
    """Two channels that talk to each other."""
    near, far = view(near_ram), view(far_ram)
    one: Channel
    other: Channel
    if kind == "memory":
        one, other = MemoryChannel.pair(near, far)
    else:
        stream, _, more = kind.partition("*")
        pairs = [await streams(stream) for _ in range(int(more or 0) + 1)]
        ones, others = [SocketChannel(a, near) for a, _ in pairs], [SocketChannel(b, far) for _, b in pairs]
        one, other = ones[0], others[0]
        if more:
            one, other = MultiChannel(one, ones[1:], near), MultiChannel(other, others[1:], far)
    async with one, other:
        for channel, memory in ((one, near), (other, far)):
            if memory is not None:
                channel.grant(memory)
        yield one, other


class RawPeer:
    """A peer that says exactly what it is told to."""

    def __init__(self, send: Callable[[bytes], None], close: Callable[[], None]) -> None:
        self.send, self.close = send, close


@asynccontextmanager
async def beside_raw(kind: str, memory: mmap.mmap | None = None) -> AsyncIterator[tuple[Channel, RawPeer]]:
    """A channel, and a raw peer at its other end."""
    channel: Channel
    if kind == "memory":
        outgoing, unread = trio.open_memory_channel[Chunk](math.inf)
        say, incoming = trio.open_memory_channel[Chunk](math.inf)

        def hang_up() -> None:
            say.close()
            unread.close()

        channel = MemoryChannel(outgoing, incoming, view(memory))
        peer = RawPeer(lambda data: say.send_nowait((0.0, data)) if data else None, hang_up)
    else:
        stream, _, more = kind.partition("*")
        pairs = [await streams(stream) for _ in range(int(more or 0) + 1)]
        ours, theirs = [SocketChannel(a, view(memory)) for a, _ in pairs], [b for _, b in pairs]
        for other in theirs[1:]:
            for number in range(FENCES):
                other.write(encode(Frame("sync", 0, 0, {"number": number}), number))
        channel = MultiChannel(ours[0], ours[1:], view(memory)) if more else ours[0]

        def close_all() -> None:
            for each in theirs:
                each.shut_down()
                each.close()

        peer = RawPeer(theirs[0].write, close_all)
    try:
        async with channel:
            if memory is not None:
                channel.grant(memoryview(memory))
            yield channel, peer
    finally:
        peer.close()


def link_threads() -> list[str]:
    """What runs besides the tests."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("livemig")]
