"""Streaming guest RAM between two processes, beside bare Python sockets that move the same memory.

    python -m benchmarks.stream [--rounds N] [--mib N]

Every figure is a median over rounds, its ratio the median of the rounds' own ratios: each measurement stands between
two of its peer. RAM is a shared anonymous mapping, non-zero, and every page is present at both ends, as on a second
pass of precopy; all times are from the first byte posted to the acknowledgement that the last has been placed.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import socket
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import trio

from livemig.link.buffers import Buffers, behind
from livemig.link.pages import in_place
from livemig.link.socket_channel import SocketChannel
from livemig.machine.ram import PAGE, Pages
from livemig.migration.fields import Runs, as_runs
from livemig.migration.frames import MAX_PAGES, Frame
from livemig.migration.passes import page_runs

_CHUNK = 1 << 20

Side = Callable[[socket.socket, memoryview], float]
"""One end's work, on its own RAM; the sender's gives the seconds it took."""


class Mover(NamedTuple):
    """A way to move pages."""

    send: Side
    receive: Side


def through_channel(pages: Pages) -> Mover:
    """livemig's own way: frames of pages, then `pass_end`, answered."""
    frames = [Frame("pages", 0, 0, {"runs": runs, "zero": []}) for runs in frames_of(pages)]
    last = Frame("pass_end", 0, 0, {"pass": 1, "pages": len(pages)})

    async def send(sock: socket.socket, memory: memoryview) -> float:
        async with SocketChannel(sock, memory) as channel:
            await channel.receive()
            began = time.perf_counter()
            for frame in (*frames, last):
                channel.post(frame)
            await channel.receive()
            return time.perf_counter() - began

    async def receive(sock: socket.socket, memory: memoryview) -> float:
        async with SocketChannel(sock, memory) as channel:
            channel.post(Frame("welcome", 0, 0, {"version": 1}))
            await channel.receive()
            channel.post(Frame("bye", 0, 0))
            await channel.flush()
        return 0.0

    return Mover(lambda s, m: trio.run(send, s, m), lambda s, m: trio.run(receive, s, m))


def bare_contiguous(size: int) -> Mover:
    """Two sockets and nothing else: `size` bytes, 1 MiB at a time."""

    def send(sock: socket.socket, memory: memoryview) -> None:
        for begin in range(0, size, _CHUNK):
            sock.sendall(memory[begin : min(begin + _CHUNK, size)])

    def receive(sock: socket.socket, memory: memoryview) -> None:
        got = 0
        while got < size:
            got += sock.recv_into(memory[got : min(got + _CHUNK, size)])

    return _acknowledged(send, receive)


def bare_iovecs(pages: Pages) -> Mover:
    """Two sockets, the same runs of pages as iovecs on both sides, and no word about which they are."""
    batches = frames_of(pages)

    def send(sock: socket.socket, memory: memoryview) -> None:
        for runs in batches:
            buffers: Buffers = in_place(memory, runs)
            while buffers:
                buffers = behind(buffers, sock.sendmsg(buffers))

    def receive(sock: socket.socket, memory: memoryview) -> None:
        for runs in batches:
            buffers: Buffers = in_place(memory, runs)
            while buffers:
                buffers = behind(buffers, sock.recvmsg_into(buffers, 0, socket.MSG_WAITALL)[0])

    return _acknowledged(send, receive)


def frames_of(pages: Pages) -> list[Runs]:
    """`pages` as runs, a frame's worth each."""
    return [as_runs(page_runs(pages[i : i + MAX_PAGES])) for i in range(0, len(pages), MAX_PAGES)]


def _acknowledged(
    send: Callable[[socket.socket, memoryview], None], receive: Callable[[socket.socket, memoryview], None]
) -> Mover:
    def timed_send(sock: socket.socket, memory: memoryview) -> float:
        sock.recv(1)
        began = time.perf_counter()
        send(sock, memory)
        sock.recv(1)
        return time.perf_counter() - began

    def answered_receive(sock: socket.socket, memory: memoryview) -> float:
        sock.sendall(b"r")
        receive(sock, memory)
        sock.sendall(b"k")
        return 0.0

    return Mover(timed_send, answered_receive)


def connected(family: str) -> tuple[socket.socket, socket.socket]:
    """Two ends of a loopback connection."""
    if family == "unix":
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    for end in (near, far):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far


def seconds(family: str, mover: Mover, source: mmap.mmap, destination: mmap.mmap) -> float:
    """How long `mover` takes from this process to a forked one."""
    near, far = connected(family)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            near.close()
            np.frombuffer(destination, np.uint8)[::PAGE] = 0  # maps every page in this process
            mover.receive(far, memoryview(destination))
            status = 0
        finally:
            os._exit(status)
    far.close()
    took = mover.send(near, memoryview(source))
    near.close()
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("the receiving process failed")
    return took


def layouts(page_count: int) -> dict[str, Pages]:
    """Which half of RAM is dirty."""
    draw = np.random.default_rng(2).permutation(page_count)
    return {
        "contiguous": np.arange(page_count // 2),
        "isolated": np.arange(0, page_count, 2),
        "random half": np.sort(draw[: page_count // 2]),
    }


def main(argv: list[str] | None = None) -> list[dict[str, Any]]:
    """Measure; print and give one object a figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mib", type=int, default=512, help="RAM at either end; half of it is dirty")
    options = parser.parse_args(argv)
    size = options.mib << 20
    source, destination = mmap.mmap(-1, size), mmap.mmap(-1, size)
    words = np.random.default_rng(1).integers(1, 1 << 63, size // 8, dtype=np.uint64)
    np.frombuffer(source, np.uint64)[:] = words
    np.frombuffer(destination, np.uint64)[:] = 0
    figures = []
    for family in ("unix", "tcp"):
        for layout, pages in layouts(size // PAGE).items():
            figures += _compare(
                f"stream {family} {layout}", family, pages, source, destination, options.rounds
            )
    for figure in figures:
        print(json.dumps(figure))
    return figures


def _compare(
    name: str, family: str, pages: Pages, source: mmap.mmap, destination: mmap.mmap, rounds: int
) -> list[dict[str, Any]]:
    channel = through_channel(pages)
    peers = {"bare sockets, contiguous": bare_contiguous(len(pages) * PAGE)}
    if "contiguous" not in name:
        peers["bare sockets, iovecs"] = bare_iovecs(pages)
    seconds(family, channel, source, destination)
    _verify(pages, source, destination)
    rates: dict[str, list[tuple[float, float]]] = {}
    gigabytes = len(pages) * PAGE / 1e9
    for _ in range(rounds):
        for peer, mover in peers.items():
            before = seconds(family, mover, source, destination)
            own = seconds(family, channel, source, destination)
            after = seconds(family, mover, source, destination)
            rates.setdefault(peer, []).append((gigabytes / own, gigabytes * 2 / (before + after)))
        own_rate = rates["bare sockets, contiguous"][-1][0]
        rates.setdefault("memcpy", []).append(
            (own_rate, gigabytes / _copy_seconds(pages, source, destination))
        )
    return [_figure(name, peer, pairs) for peer, pairs in rates.items()]


def _figure(name: str, peer: str, rates: list[tuple[float, float]]) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(statistics.median(own for own, _ in rates), 3),
        "unit": "GB/s",
        "peer": peer,
        "peer_value": round(statistics.median(other for _, other in rates), 3),
        "ratio": round(statistics.median(own / other for own, other in rates), 3),
    }


def _copy_seconds(pages: Pages, source: mmap.mmap, destination: mmap.mmap) -> float:
    size = len(pages) * PAGE
    began = time.perf_counter()
    memoryview(destination)[:size] = memoryview(source)[:size]
    return time.perf_counter() - began


def _verify(pages: Pages, source: mmap.mmap, destination: mmap.mmap) -> None:
    sent, got = (np.frombuffer(ram, np.uint64).reshape(-1, PAGE // 8)[pages] for ram in (source, destination))
    if not np.array_equal(sent, got):
        raise RuntimeError("the pages that arrived are not the pages that were sent")


if __name__ == "__main__":
    main()
