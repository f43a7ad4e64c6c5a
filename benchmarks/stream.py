"""Streaming guest RAM between two processes, beside bare Python sockets that move as much of the same memory.

RAM is non-zero and present at both ends, as it is from the second pass of precopy on. A time is from the first frame
posted to the answer that the last has been placed. Bare sockets have the system's buffers, which suit them best.
"""

from __future__ import annotations

import argparse
import os
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import trio

from benchmarks.figure import Figure, beside
from livemig.link.buffers import Buffers, behind
from livemig.link.socket_channel import SocketChannel
from livemig.link.stream import SocketStream
from livemig.machine.ram import PAGE, Pages, Ram
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
        async with SocketChannel(SocketStream(sock), memory) as channel:
            await channel.receive()
            began = time.perf_counter()
            for frame in (*frames, last):
                channel.post(frame)
            await channel.receive()
            return time.perf_counter() - began

    async def receive(sock: socket.socket, memory: memoryview) -> float:
        async with SocketChannel(SocketStream(sock)) as channel:
            channel.grant(memory)
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


def in_place(memory: memoryview, runs: Runs) -> list[memoryview]:
    """The content of `runs`."""
    return [memory[first * PAGE : (first + count) * PAGE] for first, count in runs.tolist()]


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


def seconds(family: str, mover: Mover, source: Ram, destination: Ram) -> float:
    """How long `mover` takes from this process to a forked one."""
    near, far = connected(family)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            near.close()
            destination.words[:, 0] = 0  # every page is present in this process
            mover.receive(far, destination.memory)
            status = 0
        finally:
            os._exit(status)
    far.close()
    took = mover.send(near, source.memory)
    near.close()
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("the receiving process failed")
    return took


def copy_seconds(size: int, source: Ram, destination: Ram) -> float:
    """How long `size` bytes take from RAM to RAM, with nothing between."""
    began = time.perf_counter()
    destination.memory[:size] = source.memory[:size]
    return time.perf_counter() - began


def layouts(page_count: int) -> dict[str, Pages]:
    """Which half of RAM is dirty."""
    drawn = np.random.default_rng(2).permutation(page_count)[: page_count // 2]
    return {
        "contiguous": np.arange(page_count // 2),
        "isolated pages": np.arange(0, page_count, 2),
        "random half": np.sort(drawn),
    }


def compare(name: str, family: str, pages: Pages, source: Ram, destination: Ram, rounds: int) -> list[Figure]:
    """The channel beside its peers, over `family`, every measurement between two of its peer."""
    size = len(pages) * PAGE
    channel = through_channel(pages)
    peers = {"bare sockets, contiguous": bare_contiguous(size)}
    if "contiguous" not in name:
        peers["bare sockets, the same iovecs"] = bare_iovecs(pages)
    destination.words[:] = 0
    seconds(family, channel, source, destination)
    if not np.array_equal(source.words[pages], destination.words[pages]):
        raise RuntimeError("the pages that arrived are not the pages that were sent")
    ours: dict[str, list[float]] = {peer: [] for peer in (*peers, "memcpy")}
    theirs: dict[str, list[float]] = {peer: [] for peer in ours}
    for _ in range(rounds):
        for peer, mover in peers.items():
            before = seconds(family, mover, source, destination)
            ours[peer].append(size / 1e9 / seconds(family, channel, source, destination))
            theirs[peer].append(2 * size / 1e9 / (before + seconds(family, mover, source, destination)))
        ours["memcpy"].append(ours["bare sockets, contiguous"][-1])
        theirs["memcpy"].append(size / 1e9 / copy_seconds(size, source, destination))
    return [beside(name, "GB/s", ours[peer], peer, theirs[peer]) for peer in ours]


def main(argv: list[str] | None = None) -> list[Figure]:
    """Measure and print; gives the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks stream")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mib", type=int, default=512, help="RAM at either end; half of it is dirty")
    options = parser.parse_args(argv)
    source, destination = Ram(options.mib << 20), Ram(options.mib << 20)
    source.words[:] = np.random.default_rng(1).integers(1, 1 << 63, source.words.shape, dtype=np.uint64)
    figures: list[Figure] = []
    for family in ("unix", "tcp"):
        for layout, pages in layouts(source.page_count).items():
            found = compare(f"stream: {family}, {layout}", family, pages, source, destination, options.rounds)
            for figure in found:
                figure.show()
            figures += found
    return figures


if __name__ == "__main__":
    main()
