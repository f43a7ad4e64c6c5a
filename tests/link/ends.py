"""Connections of every kind to test channels with, and RAM to move."""

from __future__ import annotations

import functools
import math
import mmap
import random
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from livemig.link.channel import Channel
from livemig.link.memory_channel import Chunk, MemoryChannel
from livemig.link.socket_channel import SocketChannel

PAGE = 4096
KINDS = ("unix", "tcp", "memory")


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


@asynccontextmanager
async def connected(
    kind: str, near_ram: mmap.mmap | None = None, far_ram: mmap.mmap | None = None
) -> AsyncIterator[tuple[Channel, Channel]]:
    """Two channels that talk to each other."""
    if kind == "memory":
        near, far = MemoryChannel.pair(view(near_ram), view(far_ram))
        async with near, far:
            yield near, far
    else:
        one, other = sockets(kind)
        async with SocketChannel(one, view(near_ram)) as a, SocketChannel(other, view(far_ram)) as b:
            yield a, b


class RawPeer:
    """A peer that says exactly what it is told to."""

    def __init__(self, send: Callable[[bytes], None], close: Callable[[], None]) -> None:
        self.send, self.close = send, close


@asynccontextmanager
async def beside_raw(kind: str, memory: mmap.mmap | None = None) -> AsyncIterator[tuple[Channel, RawPeer]]:
    """A channel, and a raw peer at its other end."""
    if kind == "memory":
        outgoing, unread = trio.open_memory_channel[Chunk](math.inf)
        say, incoming = trio.open_memory_channel[Chunk](math.inf)

        def hang_up() -> None:
            say.close()
            unread.close()

        async with MemoryChannel(outgoing, incoming, view(memory)) as channel:
            yield channel, RawPeer(lambda data: say.send_nowait((0.0, data)) if data else None, hang_up)
    else:
        one, other = sockets(kind)
        with other:
            async with SocketChannel(one, view(memory)) as channel:
                yield channel, RawPeer(other.sendall, other.close)


def link_threads() -> list[str]:
    """What runs besides the tests."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("livemig")]
