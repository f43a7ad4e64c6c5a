"""What faults do to a real connection: bytes in slices, damaged, cut off; silence; an end, and a reset."""

from __future__ import annotations

import socket
import time

import pytest
import trio
from ends import STREAMS, on_trio, sockets, streams

from livemig.errors import LinkError, PeerLost, ProtocolError
from livemig.link.faults.harm import Harm, harmed
from livemig.link.socket_channel import SocketChannel
from livemig.link.stream import SocketStream
from livemig.migration.frames import Frame

MS = 1_000_000


def test_slices_run_across_the_pieces_of_a_frame() -> None:
    """10 bytes of header and 7 and 5 of payload, in slices of 8: 8 | 2+6 | 1+5, with a pause before each new one."""
    pieces = [[memoryview(b"b" * 7)], [memoryview(b"c" * 5)]]
    told = [(pauses, bytes(piece)) for pauses, piece in harmed(b"a" * 10, pieces, Harm(slice_bytes=8))]
    assert told == [(0, b"a" * 8), (1, b"aa"), (1, b"b" * 6), (2, b"b"), (2, b"c" * 5)]


def test_of_a_frame_that_is_cut_off_so_many_bytes_leave() -> None:
    pieces = [[memoryview(b"b" * 7)]]
    assert b"".join(bytes(piece) for _, piece in harmed(b"a" * 3, pieces, Harm(most=5))) == b"aaabb"
    assert not list(harmed(b"a" * 3, pieces, Harm(most=0)))


def test_one_bit_is_damaged() -> None:
    [(_, header)] = harmed(b"ab", [], Harm(damaged=True))
    assert bytes(header) == b"a" + bytes([ord("b") ^ 1])


@pytest.mark.parametrize("kind", STREAMS)
@on_trio
async def test_a_damaged_frame_is_found_out_by_who_receives_it(kind: str) -> None:
    near, far = await streams(kind)
    async with SocketChannel(near) as here, SocketChannel(far) as there:
        here.post(Frame("loaded", 0, 1, {"ram_digest": "x"}))
        here.post(Frame("resumed", 0, 1), harm=Harm(damaged=True))
        assert (await there.receive()).type == "loaded"
        with pytest.raises(ProtocolError, match="damaged"):
            await there.receive()


@pytest.mark.wall
@pytest.mark.parametrize("kind", STREAMS)
@on_trio
async def test_a_sliced_frame_takes_its_pauses_and_arrives_whole(kind: str) -> None:
    """A payload of 1000 bytes and its header, in slices of 200: 5 pauses of 20 ms at least."""
    near, far = await streams(kind)
    async with SocketChannel(near) as here, SocketChannel(far) as there:
        began = time.monotonic()
        frame = Frame("snapshot", 0, 1, payload=bytes(range(250)) * 4)
        here.post(frame, not_before=began, harm=Harm(slice_bytes=200, pause_ns=20 * MS))
        assert (await there.receive()).payload == frame.payload
        assert time.monotonic() - began >= 0.1


@on_trio
async def test_nothing_leaves_a_channel_that_is_silent_but_what_was_posted_before() -> None:
    near, far = await streams("tcp")
    async with SocketChannel(near, alive_every=0.01) as here, SocketChannel(far) as there:
        here.post(Frame("resumed", 0, 1))
        here.silence(at_once=False)
        here.post(Frame("bye", 0, 1))
        assert (await there.receive()).type == "resumed"
        alive = there.signs_of_life
        with trio.move_on_after(0.1) as waited:
            await there.receive()
        assert waited.cancelled_caught
        assert there.signs_of_life == alive


@on_trio
async def test_a_frame_that_waits_is_lost_by_a_silence_at_once() -> None:
    near, far = await streams("tcp")
    async with SocketChannel(near) as here, SocketChannel(far) as there:
        here.post(Frame("resumed", 0, 1), not_before=time.monotonic() + 0.05)
        here.silence(at_once=True)
        with trio.move_on_after(0.15) as waited:
            await there.receive()
        assert waited.cancelled_caught


@on_trio
async def test_only_so_much_of_a_frame_leaves() -> None:
    near, far = sockets("tcp")
    async with SocketChannel(SocketStream(near)) as here:
        here.post(Frame("snapshot", 0, 1, payload=bytes(1000)), harm=Harm(most=300))
        here.post(Frame("bye", 0, 1))
        await here.flush()
        here.break_off(reset=False)
    far.settimeout(5)
    assert len(b"".join(iter(lambda: far.recv(4096), b""))) == 300
    far.close()


@pytest.mark.parametrize("reset", [True, False])
@on_trio
async def test_a_reset_is_a_rst_and_an_end_is_none(reset: bool) -> None:
    near, far = sockets("tcp")
    async with SocketChannel(SocketStream(near)) as here:
        here.break_off(reset)
    far.settimeout(5)
    if reset:
        with pytest.raises(ConnectionResetError):
            far.recv(1)
    else:
        assert far.recv(1) == b""
    far.close()


@pytest.mark.parametrize("kind", STREAMS)
@on_trio
async def test_both_ends_hear_of_a_reset_while_they_wait(kind: str) -> None:
    near, far = await streams(kind)
    heard: list[str] = []

    async def listen(name: str, channel: SocketChannel) -> None:
        with pytest.raises((LinkError, trio.ClosedResourceError)):
            await channel.receive()
        heard.append(name)

    here, there = SocketChannel(near), SocketChannel(far)
    async with there, trio.open_nursery() as nursery:
        nursery.start_soon(listen, "here", here)
        nursery.start_soon(listen, "there", there)
        await trio.sleep(0.02)
        here.break_off(reset=True)
        while "here" not in heard:
            await trio.sleep(0.001)
        await here.aclose()
    assert sorted(heard) == ["here", "there"]


@on_trio
async def test_a_reset_does_not_wait_for_a_peer_that_takes_nothing() -> None:
    near, far = sockets("tcp")
    here = SocketChannel(SocketStream(near))
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)
    for _ in range(8):
        here.post(Frame("snapshot", 0, 1, payload=bytes(4 << 20)))
    await trio.sleep(0.05)  # the thread waits in its write
    here.break_off(reset=True)
    await here.aclose()
    with pytest.raises((PeerLost, trio.ClosedResourceError)):
        here.post(Frame("bye", 0, 1))
    far.close()
