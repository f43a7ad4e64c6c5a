"""Streaming guest RAM between two processes, beside bare Python sockets that move as much of the same memory.

RAM is non-zero and present at both ends, as it is from the second pass of precopy on. A time is from the first frame
posted to the answer that the last has been placed. Bare sockets have the system's buffers, which suit them best.
"""

from __future__ import annotations

import argparse
import atexit
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from threading import Thread
from typing import NamedTuple

import numpy as np
import trio

from benchmarks.figure import Figure, beside
from livemig.emulator.process import GIL_TURN_S
from livemig.link.buffers import Buffers, behind
from livemig.link.channel import Channel
from livemig.link.credentials import CLIENT, SERVER, context, make
from livemig.link.multi_channel import MultiChannel
from livemig.link.socket_channel import SocketChannel
from livemig.link.stream import SocketStream, Stream
from livemig.link.tls import prove_to_client, prove_to_server
from livemig.machine.ram import PAGE, Pages, Ram, Watch
from livemig.migration.fields import Runs, as_runs
from livemig.migration.frames import MAX_PAGES, Frame
from livemig.migration.passes import page_runs

_CHUNK = 1 << 20

Ends = Sequence[socket.socket]
"""One end of as many connections as a mover wants."""

Side = Callable[[Ends, memoryview], float]
"""One end's work, on its own RAM; the sender's gives the seconds it took."""


class Mover(NamedTuple):
    """A way to move pages, over so many connections."""

    send: Side
    receive: Side
    connections: int = 1
    prepare: Callable[[], None] = lambda: None
    """Called in this process, before there are two."""


def through_channel(pages: Pages, secure: bool = False, more: int = 0) -> Mover:
    """livemig's own way: frames of pages, then `pass_end`, answered; over TLS, or with `more` connections for pages."""
    frames = [Frame("pages", 0, 0, {"runs": runs, "zero": []}) for runs in frames_of(pages)]
    return through(lambda: frames, secure, more)


def through(frames: Callable[[], Iterable[Frame]], secure: bool = False, more: int = 0) -> Mover:
    """The same with any frames of pages, made while the time is taken."""
    last = Frame("pass_end", 0, 0, {"pass": 1, "pages": 0})

    async def channel_over(socks: Ends, client: bool, memory: memoryview | None) -> Channel:
        streams: list[Stream] = [await _stream(sock, secure, client) for sock in socks]
        watch = None if memory is None else Watch(len(memory) // PAGE)
        main, *others = [SocketChannel(stream, memory, watch=watch) for stream in streams]
        return MultiChannel(main, others, memory) if others else main

    async def send(socks: Ends, memory: memoryview) -> float:
        async with await channel_over(socks, True, memory) as channel:
            await channel.receive()
            began = time.perf_counter()
            for frame in frames():
                channel.post(frame)
            channel.post(last)
            await channel.receive()
            return time.perf_counter() - began

    async def receive(socks: Ends, memory: memoryview) -> float:
        async with await channel_over(socks, False, None) as channel:
            channel.grant(memory)
            channel.post(Frame("welcome", 0, 0, {"version": 1}))
            await channel.receive()
            channel.post(Frame("bye", 0, 0))
            await channel.flush()
        return 0.0

    return Mover(lambda s, m: trio.run(send, s, m), lambda s, m: trio.run(receive, s, m), more + 1)


async def _stream(sock: socket.socket, secure: bool, client: bool) -> Stream:
    if not secure:
        return SocketStream(sock)
    if client:
        return await prove_to_server(sock, context(certificates(), CLIENT), "localhost")
    return await prove_to_client(sock, context(certificates(), SERVER))


@cache
def certificates() -> str:
    """A directory of them, for as long as this process lives."""
    place = tempfile.mkdtemp(prefix="livemig-benchmarks-")
    atexit.register(shutil.rmtree, place)
    make(place)
    return place


def bare_contiguous(size: int, secure: bool = False, connections: int = 1, congestion: bytes = b"") -> Mover:
    """Sockets, plain or Python's own for TLS, and nothing else: `size` bytes, 1 MiB at a time, an even part each; with
    that congestion control, instead of the system's."""
    share = size // connections

    def send(sock: socket.socket, memory: memoryview, part: int) -> None:
        if congestion:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion)
        for begin in range(part * share, (part + 1) * share, _CHUNK):
            sock.sendall(memory[begin : min(begin + _CHUNK, (part + 1) * share)])

    def receive(sock: socket.socket, memory: memoryview, part: int) -> None:
        got, end = part * share, (part + 1) * share
        while got < end:
            got += sock.recv_into(memory[got : min(got + _CHUNK, end)])

    return _acknowledged(send, receive, secure, connections)


def bare_iovecs(pages: Pages) -> Mover:
    """Two sockets, the same runs of pages as iovecs on both sides, and no word about which they are."""
    batches = frames_of(pages)

    def send(sock: socket.socket, memory: memoryview, part: int) -> None:
        for runs in batches:
            buffers: Buffers = in_place(memory, runs)
            while buffers:
                buffers = behind(buffers, sock.sendmsg(buffers))

    def receive(sock: socket.socket, memory: memoryview, part: int) -> None:
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


Work = Callable[[socket.socket, memoryview, int], None]
"""What is done on one connection, of that number."""


def _acknowledged(send: Work, receive: Work, secure: bool = False, connections: int = 1) -> Mover:
    def each(socks: Ends, memory: memoryview, work: Work) -> None:
        threads = [Thread(target=work, args=(sock, memory, part)) for part, sock in enumerate(socks)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def timed_send(socks: Ends, memory: memoryview) -> float:
        if secure:
            client = context(certificates(), CLIENT)
            socks = [client.wrap_socket(sock, server_hostname="localhost") for sock in socks]
        for sock in socks:
            sock.recv(1)
        began = time.perf_counter()
        each(socks, memory, send)
        for sock in socks:
            sock.recv(1)
        return time.perf_counter() - began

    def answered_receive(socks: Ends, memory: memoryview) -> float:
        if secure:
            server = context(certificates(), SERVER)
            socks = [server.wrap_socket(sock, server_side=True) for sock in socks]
        for sock in socks:
            sock.sendall(b"r")
        each(socks, memory, receive)
        for sock in socks:
            sock.sendall(b"k")
        return 0.0

    return Mover(timed_send, answered_receive, connections)


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


def seconds(family: str, mover: Mover, source: Ram, destination: Ram, check: Pages | None = None) -> float:
    """How long `mover` takes from this process to a forked one; there the pages `check` must be as they are here."""
    mover.prepare()
    pairs = [connected(family) for _ in range(mover.connections)]
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for near, _ in pairs:
                near.close()
            destination.words[:, 0] |= 0  # every page is present in this process
            mover.receive([far for _, far in pairs], destination.memory)
            status = 0 if check is None or np.array_equal(source.words[check], destination.words[check]) else 2
        finally:
            os._exit(status)
    for _, far in pairs:
        far.close()
    took = mover.send([near for near, _ in pairs], source.memory)
    for near, _ in pairs:
        near.close()
    if status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        told = "the pages that arrived are not the pages that were sent" if status == 2 else "it failed"
        raise RuntimeError(f"the receiving process: {told}")
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


def compare(
    name: str,
    family: str,
    pages: Pages,
    source: Ram,
    destination: Ram,
    rounds: int,
    secure: bool = False,
    more: int = 0,
    ours_is: Mover | None = None,
) -> list[Figure]:
    """The channel, or another mover, beside its peers, over `family`, every measurement between two of its peer."""
    size = len(pages) * PAGE
    channel = through_channel(pages, secure, more) if ours_is is None else ours_is
    kind = "bare ssl sockets" if secure else "bare sockets"
    peers = {f"{kind}, contiguous": bare_contiguous(size, secure, more or 1)}
    if family == "tcp" and not secure:
        peers["bare sockets on reno, contiguous"] = bare_contiguous(size, connections=more or 1, congestion=b"reno")
    if "contiguous" not in name:
        peers["bare sockets, the same iovecs"] = bare_iovecs(pages)
    if secure:
        certificates()  # before there are two processes
    seconds(family, channel, source, destination, check=pages)
    ours: dict[str, list[float]] = {peer: [] for peer in (*peers, "memcpy")}
    theirs: dict[str, list[float]] = {peer: [] for peer in ours}
    for _ in range(rounds):
        for peer, mover in peers.items():
            before = seconds(family, mover, source, destination)
            ours[peer].append(size / 1e9 / seconds(family, channel, source, destination))
            theirs[peer].append(2 * size / 1e9 / (before + seconds(family, mover, source, destination)))
        ours["memcpy"].append(ours[f"{kind}, contiguous"][-1])
        theirs["memcpy"].append(size / 1e9 / copy_seconds(size, source, destination))
    return [beside(name, "GB/s", ours[peer], peer, theirs[peer]) for peer in ours]


# name, family, TLS, connections for pages beside the main one; the peer has as many as carry pages
WAYS = (("unix, 2 channels", "unix", False, 2), ("tcp, 2 channels", "tcp", False, 2), ("tls", "tcp", True, 0))


def main(argv: list[str] | None = None) -> list[Figure]:
    """Measure and print; gives the figures."""
    from benchmarks.stream_encoded import encoded
    from benchmarks.stream_latency import latencies

    parser = argparse.ArgumentParser(prog="python -m benchmarks stream")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mib", type=int, default=512, help="RAM at either end; half of it is dirty")
    parser.add_argument("--encoded-mib", type=int, default=32, help="of pages that are sent as deltas, or compressed")
    options = parser.parse_args(argv)
    sys.setswitchinterval(GIL_TURN_S)  # as every livemig that sends or receives
    source, destination = Ram(options.mib << 20), Ram(options.mib << 20)
    source.words[:] = np.random.default_rng(1).integers(1, 1 << 63, source.words.shape, dtype=np.uint64)
    figures: list[Figure] = []
    for family in ("unix", "tcp"):
        for layout, pages in layouts(source.page_count).items():
            found = compare(f"stream: {family}, {layout}", family, pages, source, destination, options.rounds)
            for figure in found:
                figure.show()
            figures += found
    half = layouts(source.page_count)["contiguous"]
    for name, family, secure, more in WAYS:
        found = compare(f"stream: {name}, contiguous", family, half, source, destination, options.rounds, secure, more)
        for figure in found:
            figure.show()
        figures += found
    for figure in (*encoded(options.rounds, options.encoded_mib), *latencies(options.rounds)):
        figure.show()
        figures.append(figure)
    return figures


if __name__ == "__main__":
    main()
