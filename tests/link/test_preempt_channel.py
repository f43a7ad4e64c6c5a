"""Two connections beside each other: what is asked for overtakes what is pushed, and nothing comes twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest
import trio
from ends import PAGE, link_threads, on_trio, ram, sockets, view

from livemig.errors import PeerLost, ProtocolError
from livemig.link.channel import Channel, Ear
from livemig.link.joining import joined
from livemig.link.preempt_channel import AT_ONCE, IN_STEP, PreemptChannel
from livemig.link.socket_channel import SocketChannel
from livemig.link.stream import SocketStream
from livemig.migration.checksum import checksum
from livemig.migration.fields import FAR
from livemig.migration.frames import Frame, encode

PAGES = 2048
BYE = Frame("bye", 0, 0)
HOW = pytest.mark.parametrize("how", [AT_ONCE, IN_STEP])


def pushed(first: int, count: int = 1) -> Frame:
    return Frame("postcopy_pages", 0, 0, {"runs": [[first, count]], "zero": [], "answers": 0, "until_ns": FAR})


def asked(page: int, number: int = 1) -> Frame:
    return Frame("postcopy_pages", 0, 0, {"runs": [[page, 1]], "zero": [], "answers": number, "until_ns": FAR})


@asynccontextmanager
async def connected(how: int, more: int = 0) -> AsyncIterator[tuple[Channel, PreemptChannel, bytearray]]:
    """Two ends, of which the second may be written to, all pages missing; and its RAM."""
    source, destination = ram(PAGES, seed=4), ram(PAGES)
    pairs = [sockets("unix") for _ in range(2 + more)]
    near = joined([SocketChannel(SocketStream(a), view(source)) for a, _ in pairs], how, view(source))
    far = joined([SocketChannel(SocketStream(b)) for _, b in pairs], how)
    assert isinstance(far, PreemptChannel)
    async with near, far:
        far.grant(memoryview(destination))
        far.restrict(np.ones(PAGES, np.bool_))
        yield near, far, destination  # type: ignore[misc]
    assert link_threads() == []


async def heard(far: PreemptChannel, count: int) -> list[int]:
    """The first page of each frame, in the order of hearing."""
    came: list[int] = []
    async with trio.open_nursery() as nursery:

        async def listen(ear: Ear) -> None:
            while True:
                came.append(int((await ear.receive()).fields["runs"][0][0]))
                if len(came) == count:
                    nursery.cancel_scope.cancel()

        for ear in far.ears:
            nursery.start_soon(listen, ear)
    return came


@on_trio
async def test_what_is_asked_for_comes_before_pushes_that_stand_in_buffers() -> None:
    async with connected(AT_ONCE) as (near, far, memory):
        for number in range(7):
            near.post(pushed(number * 256, 256))  # 7 MiB, and nobody reads: more than the socket takes
        near.post(asked(2000))
        came = await heard(far, 8)
        assert came.index(2000) <= 1
        assert [page for page in came if page != 2000] == [number * 256 for number in range(7)]
        assert memory[2000 * PAGE : 2001 * PAGE] != bytes(PAGE)


@pytest.mark.parametrize("more", [0, 2])
@on_trio
async def test_in_step_it_is_heard_in_the_order_of_posting(more: int) -> None:
    async with connected(IN_STEP, more) as (near, far, _):
        for number in range(4):
            near.post(pushed(number * 256, 256))
            near.post(asked(1500 + number, number + 1))
        assert await heard(far, 8) == [0, 1500, 256, 1501, 512, 1502, 768, 1503]


@pytest.mark.parametrize(("first", "second"), [(asked, pushed), (pushed, asked)])
@on_trio
async def test_a_second_copy_is_refused_whichever_way_it_comes_and_the_guest_keeps_what_it_wrote(
    first: Callable[[int], Frame], second: Callable[[int], Frame]
) -> None:
    async with connected(AT_ONCE) as (near, far, memory):
        near.post(first(7))
        assert await heard(far, 1) == [7]
        memory[7 * PAGE : 8 * PAGE] = b"g" * PAGE  # the guest
        near.post(second(7))
        with pytest.raises(ExceptionGroup) as raised:
            await heard(far, 1)
        assert raised.group_contains(ProtocolError, match="a page that is not missing")
        assert memory[7 * PAGE : 8 * PAGE] == b"g" * PAGE


@on_trio
async def test_a_copy_that_is_on_its_way_keeps_another_out_although_it_has_not_come_yet() -> None:
    """The header of a push has come, its content has not; the same page by the other connection must not be taken: the
    guest would write to it, and the push would be written over that."""
    destination = ram(8)
    pairs = [sockets("unix") for _ in range(2)]
    far = joined([SocketChannel(SocketStream(b)) for _, b in pairs], AT_ONCE)
    async with far:
        far.grant(memoryview(destination))
        far.restrict(np.ones(8, np.bool_))
        bulk, urgent = (near for near, _ in pairs)
        content = b"p" * PAGE
        bulk.sendall(encode(pushed(3), 0, ram_pages=8) + content[:100])
        with trio.move_on_after(0.1):
            await far.receive()
        urgent.sendall(encode(asked(3), 0, ram_pages=8) + b"u" * PAGE + checksum(b"u" * PAGE))
        with pytest.raises(ProtocolError, match="a page that is not missing"):
            await far.ears[1].receive()
        assert destination[3 * PAGE : 4 * PAGE] != b"u" * PAGE
        bulk.sendall(content[100:] + checksum(content))
        assert (await far.receive()).type == "postcopy_pages"
        assert destination[3 * PAGE : 4 * PAGE] == content
        for near in (bulk, urgent):
            near.close()


@HOW
@on_trio
async def test_nothing_else_comes_by_it(how: int) -> None:
    pairs = [sockets("unix") for _ in range(2)]
    far = joined([SocketChannel(SocketStream(b)) for _, b in pairs], how)
    async with far:
        pairs[1][0].sendall(encode(BYE, 0))
        if how == IN_STEP:
            pairs[0][0].sendall(encode(Frame("preempted", 0, 0, {"number": 0}), 0))
        with pytest.raises(ProtocolError, match="not for a connection of pages that are asked for"):
            await far.ears[-1].receive()
        for near, _ in pairs:
            near.close()


@on_trio
async def test_no_page_comes_by_it_before_it_is_said_which_are_missing() -> None:
    destination = ram(8)
    pairs = [sockets("unix") for _ in range(2)]
    far = joined([SocketChannel(SocketStream(b)) for _, b in pairs], AT_ONCE)
    async with far:
        far.grant(memoryview(destination))
        pages = encode(Frame("pages", 0, 0, {"runs": [[1, 1]], "zero": []}), 0, ram_pages=8)
        pairs[1][0].sendall(pages + b"x" * PAGE + checksum(b"x" * PAGE))
        with pytest.raises(ProtocolError, match="not expected: the guest runs here"):
            await far.ears[1].receive()
        assert destination[:] == bytes(8 * PAGE)
        for near, _ in pairs:
            near.close()


@on_trio
async def test_a_mark_that_is_not_the_one_due_is_refused() -> None:
    pairs = [sockets("unix") for _ in range(2)]
    far = joined([SocketChannel(SocketStream(b)) for _, b in pairs], IN_STEP)
    async with far:
        pairs[0][0].sendall(encode(Frame("preempted", 0, 0, {"number": 4}), 0))
        with pytest.raises(ProtocolError, match="4 where 0 is due"):
            await far.receive()
        for near, _ in pairs:
            near.close()


@pytest.mark.parametrize("gone", [0, 1])
@on_trio
async def test_either_connection_that_ends_is_noticed(gone: int) -> None:
    pairs = [sockets("unix") for _ in range(2)]
    far = joined([SocketChannel(SocketStream(b)) for _, b in pairs], AT_ONCE)
    async with far:
        pairs[gone][0].close()
        with pytest.raises(PeerLost):
            await far.ears[gone].receive()
        pairs[1 - gone][0].close()
