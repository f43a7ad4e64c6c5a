"""The proxy between two QEMUs does to real connections what its toxics say. Times are the host's, and generous."""

from __future__ import annotations

import errno
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from livemig.launch.qemu.proxy import in_flight, link_toxics, serve
from livemig.link.toxics import Bandwidth, Latency, LimitData, ResetPeer, Stall, Toxic
from livemig.link.uri import listen

pytestmark = pytest.mark.wall

MS = 1_000_000
Far = Callable[[trio.SocketStream], Awaitable[None]]


def through(
    scheme: str, tmp_path: Path, forth: list[Toxic], near: Far, far: Far, held: int = 1 << 18
) -> None:
    """Run ``near`` on one end of a proxied connection and ``far`` on the other."""

    async def main() -> None:
        places = ("tcp:127.0.0.1:0",) * 2 if scheme == "tcp" else (f"unix:{tmp_path}/near", f"unix:{tmp_path}/far")
        listener, uri = listen(places[0])
        behind, onward = listen(places[1])
        with trio.fail_after(20), listener, behind:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve, listener, onward, lambda: forth, list, held)
                if scheme == "tcp":
                    one = await trio.open_tcp_stream("127.0.0.1", int(uri.rpartition(":")[2]))
                else:
                    one = await trio.open_unix_socket(uri.partition(":")[2])
                other = await trio.SocketListener(trio.socket.from_stdlib_socket(behind)).accept()
                async with one, other, trio.open_nursery() as both:
                    both.start_soon(near, one)
                    both.start_soon(far, other)
                nursery.cancel_scope.cancel()

    trio.run(main)


async def all_of(stream: trio.SocketStream) -> bytes:
    data = b""
    while piece := await stream.receive_some():
        data += piece
    return data


@pytest.mark.parametrize("scheme", ["unix", "tcp"])
def test_without_a_toxic_bytes_and_ends_cross_both_ways(scheme: str, tmp_path: Path) -> None:
    sent = bytes(range(256)) * 4000
    got: dict[str, bytes] = {}

    async def near(stream: trio.SocketStream) -> None:
        await stream.send_all(sent)
        await stream.send_eof()
        got["near"] = await all_of(stream)

    async def far(stream: trio.SocketStream) -> None:
        got["far"] = await all_of(stream)
        await stream.send_all(b"thanks")  # after the other direction's end
        await stream.send_eof()

    through(scheme, tmp_path, [], near, far)
    assert got == {"far": sent, "near": b"thanks"}


def took_ms(tmp_path: Path, forth: list[Toxic], size: int = 1) -> float:
    times = {}

    async def near(stream: trio.SocketStream) -> None:
        times["sent"] = time.monotonic()
        await stream.send_all(bytes(size))
        await stream.send_eof()
        await all_of(stream)

    async def far(stream: trio.SocketStream) -> None:
        assert len(await all_of(stream)) == size
        times["got"] = time.monotonic()
        await stream.send_eof()

    through("unix", tmp_path, forth, near, far)
    return 1000 * (times["got"] - times["sent"])


def test_latency_is_waited_for(tmp_path: Path) -> None:
    assert 150 <= took_ms(tmp_path, [Latency(150 * MS)]) < 1500


def test_bandwidth_is_kept(tmp_path: Path) -> None:
    assert 200 <= took_ms(tmp_path, [Bandwidth(8_000_000)], 200_000) < 1500


def test_a_stall_is_sat_out(tmp_path: Path) -> None:
    assert 200 <= took_ms(tmp_path, [Stall(0, 200 * MS)]) < 1500


def test_a_full_link_takes_no_more_in(tmp_path: Path) -> None:
    """The sender is held up, as by a slow network, and does not fill the proxy's memory."""
    sent = 0

    async def near(stream: trio.SocketStream) -> None:
        nonlocal sent
        with trio.move_on_after(0.3):
            while True:
                await stream.send_all(bytes(10_000))
                sent += 10_000

    async def far(stream: trio.SocketStream) -> None:
        await trio.sleep(0.3)

    through("unix", tmp_path, [Latency(60_000 * MS)], near, far, held=100_000)
    assert 100_000 <= sent < 3_000_000  # and what the sockets' buffers take


def test_a_cut_closes_both_ends_and_the_rest_is_lost(tmp_path: Path) -> None:
    got = {}

    async def near(stream: trio.SocketStream) -> None:
        await stream.send_all(bytes(5000))
        got["near"] = await all_of(stream)

    async def far(stream: trio.SocketStream) -> None:
        got["far"] = await all_of(stream)

    through("tcp", tmp_path, [LimitData(1000)], near, far)
    assert (len(got["far"]), got["near"]) == (1000, b"")


def test_a_reset_is_a_reset(tmp_path: Path) -> None:
    errors = []

    async def either(stream: trio.SocketStream) -> None:
        with pytest.raises(trio.BrokenResourceError) as caught:
            await stream.receive_some()
        errors.append(getattr(caught.value.__cause__, "errno", None))

    through("tcp", tmp_path, [ResetPeer(50 * MS)], either, either)
    assert errors == [errno.ECONNRESET] * 2


def test_a_destination_that_is_not_there_closes_the_connection(tmp_path: Path) -> None:
    async def main() -> None:
        listener, uri = listen(f"unix:{tmp_path}/near")
        with trio.fail_after(10), listener:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve, listener, f"unix:{tmp_path}/nobody", list, list)
                async with await trio.open_unix_socket(uri.partition(":")[2]) as stream:
                    assert await stream.receive_some() == b""
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_the_link_of_a_configuration() -> None:
    assert [type(toxic) for toxic in link_toxics(10**9, 100_000, 0, 1)] == [Bandwidth, Latency]
    assert in_flight(10**9, 100_000) == 1 << 18
    assert in_flight(10**9, 100 * MS) == 12_500_000  # 1 Gbit/s for 100 ms
