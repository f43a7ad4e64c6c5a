"""The link between two real QEMUs: a proxy that does to the migration stream what its toxics say."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence
from typing import Final

import trio

from livemig.link.toxics import CLOSE, EOF, RESET, Bandwidth, Chain, Latency, Toxic
from livemig.link.uri import TcpAddress, UnixAddress, parse_uri

_CHUNK: Final = 1 << 16
_LEAST_HELD: Final = 1 << 18
_NS_PER_S: Final = 1_000_000_000
_NO_LINGER: Final = struct.pack("ii", 1, 0)

Toxics = Callable[[], Sequence[Toxic]]
"""Makes those of one direction of one connection."""


def link_toxics(bandwidth: int, latency_ns: int, jitter_ns: int, seed: int) -> list[Toxic]:
    """Those that [link] asks for."""
    return [Bandwidth(bandwidth), Latency(latency_ns, jitter_ns, seed)]


def in_flight(bandwidth: int, delay_ns: int) -> int:
    """How many bytes the link holds when it is full."""
    return max(_LEAST_HELD, bandwidth * delay_ns // (8 * _NS_PER_S))


async def serve(
    listener: socket.socket, onward: str, forth: Toxics, back: Toxics, held: int = _LEAST_HELD
) -> None:
    """Take one connection after the other from ``listener`` to ``onward`` (a URI), until cancelled.

    Args:
        forth, back: what happens to bytes on their way to ``onward``, and from there.
        held: how many bytes a direction takes in that it has not let go.
    """
    incoming = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
    async with trio.open_nursery() as nursery:
        while True:
            near = await incoming.accept()
            nursery.start_soon(_connection, near, onward, forth, back, held)


async def _connection(near: trio.SocketStream, onward: str, forth: Toxics, back: Toxics, held: int) -> None:
    try:
        far = await _open(onward)
    except OSError:
        await trio.aclose_forcefully(near)
        return
    now = now_ns()
    async with near, far, trio.open_nursery() as nursery:
        directions = [
            _Direction(near, far, Chain(forth(), now), held),
            _Direction(far, near, Chain(back(), now), held),
        ]

        async def carry(direction: _Direction) -> None:
            how = await direction.carry()
            if how == RESET:
                for stream in (near, far):
                    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            if how != EOF or all(each.chain.ended for each in directions):
                nursery.cancel_scope.cancel()

        for direction in directions:
            nursery.start_soon(carry, direction)


async def _open(uri: str) -> trio.SocketStream:
    address = parse_uri(uri)
    if isinstance(address, UnixAddress):
        return await trio.open_unix_socket(address.path)
    assert isinstance(address, TcpAddress)
    return await trio.open_tcp_stream(address.host, address.port)


class _Direction:
    """Bytes from ``reader`` through ``chain`` to ``writer``."""

    def __init__(self, reader: trio.SocketStream, writer: trio.SocketStream, chain: Chain, held: int) -> None:
        self.chain = chain
        self._reader, self._writer, self._held = reader, writer, held
        self._moved = trio.Event()

    async def carry(self) -> str:
        """To its end; gives how it ended."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read)
            how = await self._write()
            nursery.cancel_scope.cancel()
        return how

    async def _read(self) -> None:
        try:
            while data := await self._reader.receive_some(_CHUNK):
                self.chain.put(now_ns(), data)
                self._wake()
                while self.chain.held >= self._held:
                    await self._moved.wait()
            self.chain.end(now_ns(), EOF)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.chain.end(now_ns(), CLOSE)
        self._wake()

    async def _write(self) -> str:
        while True:
            moved, steps = self._moved, self.chain.take(now_ns())
            for step in steps:
                try:
                    if step.end == EOF:
                        await self._writer.send_eof()
                    elif not step.end:
                        await self._writer.send_all(step.data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return CLOSE
                if step.end:
                    return step.end
            if steps:
                self._wake()
                continue
            due = self.chain.next_ns
            with trio.move_on_after(float("inf") if due is None else max(0, due - now_ns()) / _NS_PER_S):
                await moved.wait()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = trio.Event()


def now_ns() -> int:
    """The clock by which the proxy calls its toxics."""
    return int(trio.current_time() * _NS_PER_S)
