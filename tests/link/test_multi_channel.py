"""Several connections: no copy of a page overtakes a newer one, whichever connection is slow."""

from __future__ import annotations

import random
import time

import pytest
import trio
from ends import PAGE, connected, on_trio, ram, sockets, view

from livemig.errors import PeerLost, ProtocolError
from livemig.link.channel import Channel
from livemig.link.multi_channel import MultiChannel
from livemig.link.socket_channel import SocketChannel
from livemig.link.stream import SocketStream
from livemig.migration.frames import Frame

BYE = Frame("bye", 0, 0)


def pages(*runs: list[int]) -> Frame:
    return Frame("pages", 0, 0, {"runs": list(runs), "zero": []})


def sync(number: int) -> Frame:
    return Frame("sync", 0, 0, {"number": number})


@pytest.mark.parametrize("announced", [True, False])
@on_trio
async def test_the_newest_copy_of_every_page_stays_however_the_connections_are_held_up(announced: bool) -> None:
    """Each copy of page p says which it is; every connection's frames are held back at random. With a control frame
    between two copies of a page, as precopy has it, or without."""
    source, destination = ram(64), ram(64)
    chance = random.Random(5)

    async def receive(far: Channel) -> None:
        while await far.receive() != BYE:
            pass

    async with connected("unix*3", source, destination) as (near, far), trio.open_nursery() as nursery:
        nursery.start_soon(receive, far)
        for copy in range(1, 9):
            for page in range(64):
                source[page * PAGE] = copy
            for page in range(0, 64, 4):
                due = time.monotonic() + chance.choice([0, 0, 0.003])
                near.post(pages([page, 4]), not_before=due)
            await near.flush()
            if announced:
                near.post(Frame("pass_end", 0, 0, {"pass": copy, "pages": 64}))
        near.post(BYE)
    assert all(destination[page * PAGE] == 8 for page in range(64))


class Held(SocketChannel):
    """A connection whose frames are heard only when it is let go."""

    def __init__(self, stream: SocketStream) -> None:
        super().__init__(stream)
        self.let_go = trio.Event()

    async def receive(self) -> Frame:
        await self.let_go.wait()
        return await super().receive()


@on_trio
async def test_a_frame_waits_for_the_slowest_connection_of_pages() -> None:
    source, destination = ram(8, seed=1), ram(8)
    pairs = [sockets("unix") for _ in range(3)]
    first, *rest = (SocketChannel(SocketStream(a), view(source)) for a, _ in pairs)
    near = MultiChannel(first, rest, view(source))
    members = [SocketChannel(SocketStream(b)) for _, b in pairs[:2]]
    held = Held(SocketStream(pairs[2][1]))
    far = MultiChannel(members[0], [members[1], held])
    async with near, far:
        far.grant(memoryview(destination))
        near.post(pages([0, 1]))
        near.post(pages([1, 1]))
        near.post(BYE)
        with trio.move_on_after(0.05) as scope:
            await far.receive()
        assert scope.cancelled_caught
        assert destination[:PAGE] == source[:PAGE]
        assert destination[PAGE : 2 * PAGE] == bytes(PAGE)
        held.let_go.set()
        assert await far.receive() == BYE
        assert destination[PAGE : 2 * PAGE] == source[PAGE : 2 * PAGE]


@pytest.mark.parametrize("announced", [True, False])
@on_trio
async def test_an_older_copy_on_a_slow_connection_does_not_overwrite_a_newer_one(announced: bool) -> None:
    source, destination = ram(1), ram(1)
    pairs = [sockets("unix") for _ in range(3)]
    first, *rest = (SocketChannel(SocketStream(a), view(source)) for a, _ in pairs)
    slow = Held(SocketStream(pairs[1][1]))
    far = MultiChannel(SocketChannel(SocketStream(pairs[0][1])), [slow, SocketChannel(SocketStream(pairs[2][1]))])

    async def receive() -> None:
        while await far.receive() != BYE:
            pass

    async with MultiChannel(first, rest, view(source)) as near, far, trio.open_nursery() as nursery:
        far.grant(memoryview(destination))
        nursery.start_soon(receive)
        for copy in (1, 2):
            source[0] = copy
            near.post(pages([0, 1]))
            await near.flush()
            if announced:
                near.post(Frame("pass_end", 0, 0, {"pass": copy, "pages": 1}))
        near.post(BYE)
        await trio.sleep(0.05)
        slow.let_go.set()
    assert destination[0] == 2


@on_trio
async def test_pages_go_over_every_connection_but_the_first_in_turn() -> None:
    source, destination = ram(64, seed=1), ram(64)
    async with connected("unix*3", source, destination) as (near, far):
        for page in range(6):
            near.post(pages([page, 1]))
        near.post(BYE)
        await far.receive()
        assert isinstance(far, MultiChannel)
        assert [channel.tally.pages for channel in far._all] == [0, 2, 2, 2]


@pytest.mark.parametrize(
    ("on_main", "on_other", "problem"),
    [
        (BYE, sync(1), "frame 'sync', number: 1 where 0 is due"),
        (BYE, BYE, "frame 'bye', type: not for a connection that carries pages"),
        (sync(7), sync(0), "frame 'sync', number: 7 where 0 is due"),
    ],
)
@on_trio
async def test_a_fence_that_is_not_the_one_due_is_refused_now_and_ever_after(
    on_main: Frame, on_other: Frame, problem: str
) -> None:
    pairs = [sockets("unix") for _ in range(2)]
    ours = [SocketChannel(SocketStream(a)) for a, _ in pairs]
    theirs = [SocketChannel(SocketStream(b)) for _, b in pairs]
    async with MultiChannel(ours[0], ours[1:]) as channel, theirs[0], theirs[1]:
        theirs[0].post(on_main)
        theirs[1].post(on_other)
        for _ in range(2):
            with pytest.raises(ProtocolError) as error:
                await channel.receive()
            assert str(error.value) == problem


@pytest.mark.parametrize("gone", [0, 1, 3])
@on_trio
async def test_one_connection_that_ends_ends_them_all(gone: int) -> None:
    pairs = [sockets("unix") for _ in range(4)]
    ours = [SocketChannel(SocketStream(a)) for a, _ in pairs]
    async with MultiChannel(ours[0], ours[1:]) as channel:
        pairs[gone][1].close()
        for _ in range(2):
            with pytest.raises(PeerLost):
                await channel.receive()
        for index in set(range(4)) - {gone}:
            pairs[index][1].close()
