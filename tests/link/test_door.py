"""The door: one source comes in, whoever else is there."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from ends import PAGE, certificates, link_threads, on_trio, ram

from livemig.errors import LivemigError, PeerLost, TlsError
from livemig.link import door
from livemig.link.channel import Channel
from livemig.link.credentials import CLIENT, SERVER, context, make
from livemig.link.door import Door
from livemig.link.opening import open_channel
from livemig.link.preempt_channel import AT_ONCE, NO_PREEMPT, PreemptChannel
from livemig.link.socket_channel import SocketChannel
from livemig.link.stream import SocketStream
from livemig.link.uri import listen
from livemig.migration.checksum import checksum
from livemig.migration.frames import PROTOCOL_VERSION, Frame, encode

S = 1_000_000_000
HELLO = Frame("hello", 0, 5, {"version": PROTOCOL_VERSION, "machine": {}, "strategy": "none", "capabilities": []})
KINDS = pytest.mark.parametrize(
    ("transport", "channels"), [("unix", 0), ("unix", 3), ("tcp", 2), ("tls", 0), ("tls", 2)]
)


class Hall:
    """Behind a door: who came in, and why others did not."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.channels: list[Channel] = []
        self.hellos: list[Frame] = []
        self.away: list[str] = []
        self.came = trio.Event()

    def enter(self, channel: Channel, hello: Frame) -> None:
        self.channels.append(channel)
        self.hellos.append(hello)
        self.came.set()


@asynccontextmanager
async def hall(tmp_path: Path, transport: str = "unix", limit_s: float = 5.0) -> AsyncIterator[Hall]:
    where = f"unix:{tmp_path}/door" if transport == "unix" else f"{transport}:127.0.0.1:0"
    listener, uri = listen(where)
    credentials = context(certificates(), SERVER) if transport == "tls" else None
    made = Hall(uri)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Door(listener, credentials, limit_s, made.enter, made.away.append).serve)
        yield made
        nursery.cancel_scope.cancel()
    for channel in made.channels:
        await channel.aclose()
    assert link_threads() == []


async def source(hall: Hall, channels: int = 0, memory: memoryview | None = None) -> Channel:
    client = context(certificates(), CLIENT) if hall.uri.startswith("tls") else None
    return await open_channel(hall.uri, 5 * S, memory, channels, client)


def dial(hall: Hall) -> socket.socket:
    """A bare connection."""
    if hall.uri.startswith("unix"):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(hall.uri.removeprefix("unix:"))
        return sock
    return socket.create_connection(("127.0.0.1", int(hall.uri.rpartition(":")[2])))


def named(session: str = "s", index: int = 0, channels: int = 0, preempt: int = 0) -> Frame:
    said = {"session": session, "index": index, "channels": channels, "preempt": preempt}
    return Frame("channel", 0, 0, said)


async def until(condition: object) -> None:
    while not condition():  # type: ignore[operator]
        await trio.sleep(0.005)


async def gone(sock: socket.socket) -> None:
    """Wait until the other end has closed."""
    with sock:
        sock.setblocking(False)
        while True:
            await trio.lowlevel.wait_readable(sock)
            try:
                if not sock.recv(1000):
                    return
            except ConnectionResetError:
                return


@KINDS
@on_trio
async def test_a_source_comes_in_with_all_its_connections_and_its_hello(
    tmp_path: Path, transport: str, channels: int
) -> None:
    memory, destination = ram(64, seed=1), ram(64)
    async with hall(tmp_path, transport) as inside, await source(inside, channels, memoryview(memory)) as near:
        near.post(HELLO)
        await inside.came.wait()
        assert inside.hellos == [HELLO]
        inside.channels[0].grant(memoryview(destination))
        for page in range(64):
            near.post(Frame("pages", 0, 0, {"runs": [[page, 1]], "zero": []}))
        near.post(Frame("bye", 0, 0))
        assert (await inside.channels[0].receive()).type == "bye"
        assert destination[:] == memory[:]
        assert inside.away == []


@KINDS
@on_trio
async def test_a_second_source_is_told_why_not_and_the_first_is_not_disturbed(
    tmp_path: Path, transport: str, channels: int
) -> None:
    async with hall(tmp_path, transport) as inside, await source(inside, channels) as first:
        first.post(HELLO)
        await inside.came.wait()
        async with await source(inside, 1) as second:
            second.post(HELLO)
            answer = await second.receive()
            assert (answer.type, answer.fields) == ("refuse", {"reason": "another source migrates here"})
            assert (answer.sent_ns, answer.arrives_ns) == (5, 5)
        assert len(inside.channels) == 1
        inside.channels[0].post(Frame("welcome", 0, 0, {"version": PROTOCOL_VERSION}))
        assert (await first.receive()).type == "welcome"
        assert inside.away == ["another source migrates here"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", "header: 1195725856 bytes long"),
        (encode(HELLO, 0), "where 'channel' is due"),
        (encode(named(), 0) + encode(Frame("bye", 0, 0), 1), "where 'hello' is due"),
        (encode(named(index=2, channels=1), 0), "index: 2 is not one that is missing"),
        (encode(named(), 0)[:-1] + b"\x7f", "the header arrived damaged"),
        (encode(Frame("pages", 0, 0, {"runs": [[0, 1]], "zero": []}), 0, ram_pages=1), "outside RAM of 0 pages"),
        (
            encode(named(), 0)
            + encode(Frame("pages", 0, 0, {"runs": [[0, 1]], "zero": []}), 1, ram_pages=1)
            + b"x" * PAGE
            + checksum(b"x" * PAGE),
            "outside RAM of 0 pages",
        ),
        (
            encode(named(), 0) + encode(Frame("snapshot", 0, 0, {}, b"x" * 9), 1),
            "frame 'snapshot', payload: 9 bytes from somebody who is not let in yet",
        ),
        (encode(named(preempt=1), 0), "preempt: with no connection but the main one"),
        (b"\0\0", "lost during the header"),
        (b"", "lost during the wait"),
    ],
)
@on_trio
async def test_somebody_who_does_not_know_the_rules_is_turned_away_and_the_place_is_free(
    tmp_path: Path, said: bytes, reason: str
) -> None:
    async with hall(tmp_path) as inside:
        stranger = dial(inside)
        stranger.sendall(said)
        stranger.shutdown(socket.SHUT_WR)
        await gone(stranger)
        await until(lambda: inside.away)
        assert reason in inside.away[0]
        async with await source(inside) as near:
            near.post(HELLO)
            await inside.came.wait()


@pytest.mark.parametrize("transport", ["unix", "tls"])
@on_trio
async def test_the_silent_and_the_slow_are_sent_away_in_time_and_hold_nobody_up(tmp_path: Path, transport: str) -> None:
    async with hall(tmp_path, transport, limit_s=0.3) as inside:
        began = trio.current_time()
        silent, slow = dial(inside), dial(inside)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gone, silent)
            nursery.start_soon(_trickle, slow)
            async with await source(inside, 1) as near:
                near.post(HELLO)
                await inside.came.wait()
                assert trio.current_time() - began < 0.3
                await until(lambda: len(inside.away) == 2)
        late = "did not identify itself in time"
        assert inside.away == [late] * 2 if transport == "unix" else late in inside.away


async def _trickle(sock: socket.socket) -> None:
    """A right frame, a byte at a time, never done."""
    with sock, pytest.raises((BrokenPipeError, ConnectionResetError)):  # noqa: PT012
        for byte in encode(named("x" * 60), 0) * 100:
            sock.sendall(bytes([byte]))
            await trio.sleep(0.02)


@on_trio
async def test_a_crowd_before_the_door_does_not_keep_the_right_one_out(tmp_path: Path) -> None:
    """Nobody has to wait for their time to be over: who has waited longest goes first."""
    async with hall(tmp_path, limit_s=60) as inside:
        crowd = []
        for _ in range(door._MOST + 5):
            crowd.append(dial(inside))
            await trio.sleep(0)
        await until(lambda: len(inside.away) == 5)
        async with await source(inside, 2) as near:
            near.post(HELLO)
            await inside.came.wait()
        for sock in crowd:
            sock.close()


@on_trio
async def test_a_party_that_stays_incomplete_is_sent_away_whole(tmp_path: Path) -> None:
    async with hall(tmp_path, limit_s=0.2) as inside:
        some = [dial(inside) for _ in range(2)]
        some[0].sendall(encode(named("p", 0, 2), 0) + encode(HELLO, 1))
        some[1].sendall(encode(named("p", 2, 2), 0))
        for sock in some:
            await gone(sock)
        await until(lambda: len(inside.away) == 2)
        assert not inside.came.is_set()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (named("p", 1, 3), "channels: 3, but 2 on another connection of it"),
        (named("p", 0, 2), "index: 0 is not one that is missing"),
        (named("p", 1, 2, 1), "preempt: 1, but 0 on another connection of it"),
    ],
)
@on_trio
async def test_a_connection_that_does_not_fit_its_party_is_sent_away_and_the_party_is_not(
    tmp_path: Path, wrong: Frame, reason: str
) -> None:
    async with hall(tmp_path) as inside:
        sockets = [dial(inside) for _ in range(4)]
        sockets[0].sendall(encode(named("p", 0, 2), 0) + encode(HELLO, 1))
        await trio.sleep(0.05)
        sockets[3].sendall(encode(wrong, 0))
        await gone(sockets[3])
        await until(lambda: inside.away)
        assert inside.away == [f"frame 'channel', {reason}"]
        for index in (1, 2):
            sockets[index].sendall(encode(named("p", index, 2), 0) + encode(Frame("sync", 0, 0, {"number": 0}), 1))
        await inside.came.wait()
        for sock in sockets[:3]:
            sock.close()


@on_trio
async def test_with_tls_every_connection_shows_the_same_certificate(tmp_path: Path) -> None:
    make(tmp_path)
    listener, uri = listen("tls:127.0.0.1:0")
    server = context(certificates(), SERVER)
    server.load_verify_locations(tmp_path / "ca-cert.pem")
    one, other = context(certificates(), CLIENT), context(tmp_path, CLIENT)
    other.load_verify_locations(certificates() / "ca-cert.pem")
    away: list[str] = []
    from livemig.link.tls import prove_to_server
    from livemig.link.uri import connect

    async with trio.open_nursery() as nursery:
        nursery.start_soon(Door(listener, server, 5, lambda channel, hello: None, away.append).serve)
        main = SocketChannel(await prove_to_server(await connect(uri, S), one, "127.0.0.1"))
        main.post(named("p", 0, 1))
        await trio.sleep(0.05)
        thief = SocketChannel(await prove_to_server(await connect(uri, S), other, "127.0.0.1"))
        thief.post(named("p", 1, 1))
        with pytest.raises(PeerLost):
            await thief.receive()
        await until(lambda: away)
        assert away == ["frame 'channel', session: belongs to somebody with another certificate"]
        await main.aclose()
        await thief.aclose()
        nursery.cancel_scope.cancel()


@on_trio
async def test_with_tls_a_stranger_gets_nothing_and_disturbs_nothing(tmp_path: Path) -> None:
    make(tmp_path)
    async with hall(tmp_path, "tls") as inside:
        stranger = context(tmp_path, CLIENT)
        stranger.load_verify_locations(certificates() / "ca-cert.pem")
        errors: list[LivemigError] = []
        try:
            await open_channel(inside.uri, 5 * S, None, 0, stranger)
        except TlsError as error:
            errors.append(error)
        assert "the peer gave up" in str(errors[0])
        assert str(errors[0]).startswith(inside.uri)
        plain = SocketChannel(SocketStream(dial(inside)))
        plain.post(named())
        plain.post(HELLO)
        with pytest.raises(LivemigError):
            await plain.receive()
        await plain.aclose()
        await until(lambda: len(inside.away) == 2)
        async with await source(inside) as near:
            near.post(HELLO)
            await inside.came.wait()


@pytest.mark.parametrize("preempt", [NO_PREEMPT, AT_ONCE])
@on_trio
async def test_who_says_that_he_has_a_connection_for_pages_that_are_asked_for_must_have_one(
    tmp_path: Path, preempt: int
) -> None:
    hello = replace(HELLO, fields={**HELLO.fields, "capabilities": ["postcopy-ram", "postcopy-preempt"]})
    async with hall(tmp_path) as inside, await open_channel(inside.uri, 5 * S, preempt=preempt) as near:
        near.post(hello)
        if preempt == AT_ONCE:
            await inside.came.wait()
            assert isinstance(inside.channels[0], PreemptChannel)
        else:
            assert (await near.receive()).fields == {
                "reason": "postcopy-preempt is on, and there is no connection for it"
            }


@on_trio
async def test_nobody_who_was_turned_away_leaves_a_party_behind(tmp_path: Path) -> None:
    listener, uri = listen(f"unix:{tmp_path}/door")
    away: list[str] = []
    door = Door(listener, None, 5, lambda channel, hello: None, away.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(door.serve)
        for number in range(5):
            with socket.socket(socket.AF_UNIX) as stranger:
                stranger.connect(uri.removeprefix("unix:"))
                stranger.sendall(encode(named(f"s{number}", index=2, channels=1), 0))
                await until(lambda count=number + 1: len(away) == count)
        assert not door._parties
        nursery.cancel_scope.cancel()
