"""What every channel does, whatever carries it."""

from __future__ import annotations

import time

import pytest
import trio
import trio.testing
from ends import KINDS, PAGE, beside_raw, connected, link_threads, on_trio, ram
from hypothesis import given, settings
from hypothesis import strategies as st

from livemig.errors import PeerLost, ProtocolError
from livemig.link.channel import Channel
from livemig.migration.checksum import checksum
from livemig.migration.frames import ALIVE, Frame, encode

every_kind = pytest.mark.parametrize("kind", KINDS)

BYE = Frame("bye", 0, 0)


def pages(runs: list[list[int]], zero: list[list[int]] | None = None, arrives_ns: int = 0) -> Frame:
    return Frame("pages", 0, arrives_ns, {"runs": runs, "zero": zero or []})


async def receive_for_ever(channel: Channel) -> None:
    while True:
        await channel.receive()


def pass_end(number: int) -> Frame:
    return Frame("pass_end", 0, 0, {"pass": number, "pages": 0})


@every_kind
@on_trio
async def test_frames_arrive_in_order_and_as_they_were_in_both_directions(kind: str) -> None:
    there = [Frame("pass_end", -5, i, {"pass": i, "pages": 2 * i}) for i in range(300)]
    back = [Frame("snapshot", 0, i, {}, bytes([i]) * i * 100) for i in range(200)]
    async with connected(kind) as (near, far):
        for frame in there:
            near.post(frame)
        for frame in back:
            far.post(frame)
        assert [await far.receive() for _ in there] == there
        assert [await near.receive() for _ in back] == back


@every_kind
@on_trio
async def test_page_content_goes_from_ram_to_ram_and_nowhere_else(kind: str) -> None:
    source, destination = ram(1000, seed=1), ram(1000, seed=2)
    before = destination[:]
    runs = [[[0, 256]], [[300 + 2 * i, 1] for i in range(256)], [[850, 3], [860, 1], [999, 1]]]
    async with connected(kind, source, destination) as (near, far):
        for each in runs:
            near.post(pages(each))
        near.post(BYE)
        assert await far.receive() == BYE
    sent = {first + i for each in runs for first, count in each for i in range(count)}
    for page in range(1000):
        expected = source if page in sent else before
        assert destination[page * PAGE : (page + 1) * PAGE] == expected[page * PAGE : (page + 1) * PAGE], page


@every_kind
@on_trio
async def test_zero_pages_are_cleared_without_a_payload(kind: str) -> None:
    source, destination = ram(20), ram(20, seed=2)
    before = destination[:]
    async with connected(kind, source, destination) as (near, far):
        near.post(pages([], [[3, 2], [19, 1]]))
        near.post(BYE)
        await far.receive()
        assert (far.tally.pages, far.tally.zero_pages, far.tally.payload_bytes) == (0, 3, 0)
    cleared = {3, 4, 19}
    for page in range(20):
        expected = bytes(PAGE) if page in cleared else before[page * PAGE : (page + 1) * PAGE]
        assert destination[page * PAGE : (page + 1) * PAGE] == expected


@every_kind
@on_trio
async def test_the_tally_counts_up_to_the_frame_received_and_ram_is_left_alone_behind_it(kind: str) -> None:
    source, destination = ram(10, seed=1), ram(10)
    async with connected(kind, source, destination) as (near, far):
        near.post(pages([[0, 2], [4, 1]], [[6, 1]], arrives_ns=7))
        near.post(pages([[2, 1]], arrives_ns=9))
        near.post(pass_end(1))
        near.post(pages([[9, 1]], arrives_ns=11))
        near.post(pass_end(2))
        await near.flush()
        assert await far.receive() == pass_end(1)
        await trio.sleep(0.02)
        tally = far.tally
        assert (tally.frames, tally.pages, tally.zero_pages, tally.payload_bytes) == (2, 4, 1, 4 * PAGE)
        assert tally.arrives_ns == 9
        assert destination[9 * PAGE :] == bytes(PAGE)
        assert await far.receive() == pass_end(2)
        tally = far.tally
        assert (tally.frames, tally.pages, tally.arrives_ns) == (3, 5, 11)
        assert destination[9 * PAGE :] == source[9 * PAGE :]


@every_kind
@on_trio
async def test_nothing_leaves_before_its_time_and_nothing_overtakes(kind: str) -> None:
    async with connected(kind) as (near, far):
        near.post(pass_end(1))
        due = time.monotonic() + 0.1
        near.post(pass_end(2), not_before=due)
        near.post(pass_end(3), not_before=due - 0.05)
        near.post(pass_end(4))
        assert await far.receive() == pass_end(1)
        assert time.monotonic() < due
        for number in (2, 3, 4):
            assert await far.receive() == pass_end(number)
            assert time.monotonic() >= due


@every_kind
@on_trio
async def test_flush_waits_for_frames_that_are_held_back(kind: str) -> None:
    async with connected(kind) as (near, _):
        due = time.monotonic() + 0.05
        near.post(BYE, not_before=due)
        near.post(BYE)
        await near.flush()
        assert time.monotonic() >= due


@every_kind
@on_trio
async def test_what_was_flushed_arrives_although_the_sender_is_gone(kind: str) -> None:
    async with connected(kind) as (near, far):
        near.post(Frame("refuse", 0, 0, {"reason": "because"}))
        await near.flush()
        await near.aclose()
        assert (await far.receive()).fields == {"reason": "because"}
        with pytest.raises(PeerLost):
            await far.receive()


@every_kind
@on_trio
async def test_a_cancelled_receive_loses_nothing(kind: str) -> None:
    async with connected(kind) as (near, far):
        for number in range(20):
            with trio.move_on_after(0.001) as cancelled:
                await far.receive()
            assert cancelled.cancelled_caught
            near.post(pass_end(number))
            if number % 2:
                await near.flush()
            assert await far.receive() == pass_end(number)
        near.post(BYE, not_before=time.monotonic() + 0.05)
        with trio.move_on_after(0.02) as cancelled:
            await far.receive()
        assert cancelled.cancelled_caught
        assert await far.receive() == BYE


FRAMES = encode(BYE, 0) + encode(Frame("snapshot", 0, 0, {}, b"abc"), 1) + b"abc" + checksum(b"abc")


@every_kind
@pytest.mark.parametrize(
    ("cut", "during"),
    [
        (len(encode(BYE, 0)), "the wait for a frame"),
        (len(encode(BYE, 0)) + 2, "the header of a frame"),
        (len(encode(BYE, 0)) + 19, "the header of a frame"),
        (len(FRAMES) - 11, "the payload of 'snapshot'"),
        (len(FRAMES) - 1, "the payload of 'snapshot'"),
    ],
)
@on_trio
async def test_an_end_of_the_stream_anywhere_is_a_lost_peer(kind: str, cut: int, during: str) -> None:
    async with beside_raw(kind) as (channel, peer):
        peer.send(FRAMES[:cut])
        peer.close()
        assert await channel.receive() == BYE
        for _ in range(2):
            with pytest.raises(PeerLost) as lost:
                await channel.receive()
            assert lost.value.during == during
        with pytest.raises(PeerLost):
            channel.post(BYE)
        with pytest.raises(PeerLost):
            await channel.flush()


@every_kind
@on_trio
async def test_sending_to_a_peer_that_is_gone_fails_before_long(kind: str) -> None:
    async with beside_raw(kind) as (channel, peer):
        peer.close()

        async def send_for_ever() -> None:
            while True:
                channel.post(BYE)
                await channel.flush()
                await trio.sleep(0.001)

        with pytest.raises(PeerLost):
            await send_for_ever()


@every_kind
@on_trio
async def test_a_malformed_frame_is_a_protocol_error_now_and_ever_after(kind: str) -> None:
    memory = ram(4)
    async with beside_raw(kind, memory) as (channel, peer):
        right = encode(pages([[0, 1]]), 0, ram_pages=4) + b"x" * PAGE + checksum(b"x" * PAGE)
        skips_one = encode(pages([[1, 1]]), 2, ram_pages=4) + b"y" * PAGE
        peer.send(right + skips_one + encode(BYE, 3))
        for _ in range(2):
            with pytest.raises(ProtocolError) as error:
                await channel.receive()
            assert (error.value.frame, error.value.field) == ("pages", "seq")
    assert memory[:] == b"x" * PAGE + bytes(3 * PAGE)


@every_kind
@on_trio
async def test_damaged_content_is_refused_by_frame_and_number(kind: str) -> None:
    for what, payload in ((Frame("snapshot", 0, 0, {}, b"abc"), b"abc"), (pages([[0, 2]]), b"x" * 2 * PAGE)):
        async with beside_raw(kind, ram(4)) as (channel, peer):
            damaged = bytearray(payload + checksum(payload))
            damaged[len(payload) // 2] ^= 0x10
            peer.send(encode(BYE, 0) + encode(what, 1, ram_pages=4) + damaged)
            assert await channel.receive() == BYE
            for _ in range(2):
                with pytest.raises(ProtocolError, match="frame 1 arrived damaged") as error:
                    await channel.receive()
                assert (error.value.frame, error.value.field) == (what.type, "checksum")


@every_kind
@on_trio
async def test_signs_of_life_between_frames_are_no_frames(kind: str) -> None:
    async with beside_raw(kind) as (channel, peer):
        peer.send(ALIVE + encode(BYE, 0) + 3 * ALIVE + encode(pass_end(1), 1) + ALIVE)
        assert await channel.receive() == BYE
        assert await channel.receive() == pass_end(1)


@every_kind
@on_trio
async def test_pages_are_refused_where_there_is_no_ram(kind: str) -> None:
    async with beside_raw(kind) as (channel, peer):
        peer.send(encode(pages([[0, 1]]), 0, ram_pages=1) + bytes(PAGE))
        with pytest.raises(ProtocolError, match="RAM of 0 pages"):
            await channel.receive()


@every_kind
@on_trio
async def test_pages_outside_ones_own_ram_are_not_posted_and_do_not_count(kind: str) -> None:
    async with connected(kind, ram(2), ram(2)) as (near, far):
        with pytest.raises(ProtocolError):
            near.post(pages([[2, 1]]))
        near.post(BYE)
        assert await far.receive() == BYE


@every_kind
@given(st.lists(st.binary(max_size=40) | st.sampled_from([FRAMES, b"\0\0\0\x20", b"\0\0\0\x01\x80"]), max_size=4))
@settings(max_examples=40)
@on_trio
async def test_garbage_raises_what_it_should_and_touches_no_ram(kind: str, garbage: list[bytes]) -> None:
    memory = ram(4, seed=3)
    before = memory[:]
    async with beside_raw(kind, memory) as (channel, peer):
        for piece in garbage:
            peer.send(piece)
        peer.close()
        with pytest.raises((PeerLost, ProtocolError)):
            await receive_for_ever(channel)
    assert memory[:] == before


@every_kind
@on_trio
async def test_closing_lets_go_of_everything_even_under_cancellation_with_both_ways_blocked(
    kind: str,
) -> None:
    memory = ram(4096, seed=1)
    with trio.CancelScope() as scope:
        async with beside_raw(kind, memory) as (channel, _), trio.open_nursery() as nursery:
            scope.deadline = trio.current_time() + 0.05
            for first in range(0, 4096, 256):
                channel.post(pages([[first, 256]]))
            channel.post(BYE, not_before=time.monotonic() + 3600)
            nursery.start_soon(channel.flush)
            nursery.start_soon(channel.receive)
    assert scope.cancelled_caught
    assert link_threads() == []
    memory.close()  # a BufferError, if anything still refers to it


@every_kind
@on_trio
async def test_a_closed_channel_says_so(kind: str) -> None:
    async with connected(kind) as (near, _):
        await near.aclose()
        await near.aclose()
        with pytest.raises(trio.ClosedResourceError):
            near.post(BYE)
        with pytest.raises(trio.ClosedResourceError):
            await near.flush()
        with pytest.raises(trio.ClosedResourceError):
            await near.receive()


@every_kind
@on_trio
async def test_closing_wakes_whoever_waits(kind: str) -> None:
    async with connected(kind) as (near, _), trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await near.receive()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await near.aclose()
