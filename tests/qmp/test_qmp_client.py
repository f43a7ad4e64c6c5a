"""The client, against the server and against peers that misbehave; a stranger's client against the server."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import itertools
import socket
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from listening import unix_listener

from livemig.errors import ConnectTimeout, PeerLost, ProtocolError, QmpError
from livemig.qmp.client import open_qmp
from livemig.qmp.commands import Command
from livemig.qmp.server import VERSION, QmpServer

GREETING = b'{"QMP": {"version": {}, "capabilities": ["oob"]}}\r\n'


def on_trio(test: Callable[[], Awaitable[None]], **options: Any) -> Callable[[], None]:
    @functools.wraps(test)
    def run() -> None:
        async def limited() -> None:
            with trio.fail_after(10):
                await test()

        trio.run(limited, **options)

    del run.__wrapped__  # pytest would take it for an async test
    return run


def attended(server: QmpServer, nursery: trio.Nursery) -> socket.socket:
    ours, theirs = socket.socketpair()
    nursery.start_soon(server.attend, trio.SocketStream(trio.socket.from_stdlib_socket(theirs)))
    return ours


def peer_that_says(opening: bytes) -> tuple[socket.socket, trio.SocketStream]:
    ours, theirs = socket.socketpair()
    theirs.sendall(opening)
    return ours, trio.SocketStream(trio.socket.from_stdlib_socket(theirs))


async def negotiate(peer: trio.SocketStream) -> None:
    await peer.receive_some()
    await peer.send_all(b'{"return": {}, "id": 1}')


def migrate(uri: str, exit_on_error: bool = True) -> list[Any]:
    if uri == "bad":
        raise QmpError("DeviceNotFound", "no such device")
    return [uri, exit_on_error]


MIGRATE = {"migrate": Command(migrate, {"uri": ("string", True), "exit-on-error": ("boolean", False)})}


@on_trio
async def test_results_errors_and_both_ways_to_name_arguments() -> None:
    async with trio.open_nursery() as nursery, open_qmp(attended(QmpServer(MIGRATE), nursery)) as client:
        assert client.greeting == {"version": VERSION, "capabilities": []}
        assert await client.execute("query-version") == VERSION
        assert await client.execute("migrate", uri="unix:/x", exit_on_error=False) == ["unix:/x", False]
        assert await client.execute("migrate", {"uri": "u", "exit-on-error": True}) == ["u", True]
        for command, arguments, error in (
            ("migrate", {"uri": "bad"}, ("DeviceNotFound", "no such device")),
            ("migrate", {"uri": 1}, ("GenericError", "Invalid parameter type for 'uri', expected: string")),
            ("X", {}, ("CommandNotFound", "The command X has not been found")),
        ):
            with pytest.raises(QmpError) as caught:
                await client.execute(command, arguments)
            assert (caught.value.error_class, caught.value.desc) == error


@on_trio
async def test_errors_leave_the_block_as_they_are_not_in_a_group() -> None:
    async with trio.open_nursery() as nursery:
        with pytest.raises(QmpError, match="X has not been found"):
            async with open_qmp(attended(QmpServer({}), nursery)) as client:
                await client.execute("X")


@on_trio
async def test_replies_find_who_asked_in_whatever_order_they_come() -> None:
    ours, peer = peer_that_says(GREETING)
    async with peer, trio.open_nursery() as negotiation:
        negotiation.start_soon(negotiate, peer)
        async with open_qmp(ours) as client:
            results: dict[str, Any] = {}

            async def ask(name: str) -> None:
                results[name] = await client.execute(name)

            async with trio.open_nursery() as nursery:
                for name in ("two", "three"):
                    nursery.start_soon(ask, name)
                    await trio.testing.wait_all_tasks_blocked()
                await peer.send_all(b'{"return": "3rd", "id": 3}{"return": "2nd", "id": 2}')
            assert results == {"two": "2nd", "three": "3rd"}


@on_trio
async def test_no_event_is_lost_however_soon_it_comes_and_however_many_wait() -> None:
    count = itertools.count()

    def burst() -> None:
        for number in itertools.islice(count, 1000):
            server.event("E", {"n": number})

    async with trio.open_nursery() as nursery:
        server = QmpServer({"burst": Command(burst)})
        async with open_qmp(attended(server, nursery)) as client:
            server.event("FIRST")
            for _ in range(3):
                await client.execute("burst")
            assert (await client.events.receive())["event"] == "FIRST"
            for number in range(3000):
                assert (await client.events.receive())["data"] == {"n": number}


@on_trio
async def test_a_cancelled_command_leaves_the_connection_usable() -> None:
    go_on = trio.Event()

    async def late() -> str:
        await go_on.wait()
        return "late"

    async with trio.open_nursery() as nursery:
        server = QmpServer({"late": Command(late), **MIGRATE})
        async with open_qmp(attended(server, nursery)) as client:
            with trio.move_on_after(0.01) as scope:
                await client.execute("late")
            assert scope.cancelled_caught
            go_on.set()
            assert await client.execute("migrate", uri="u") == ["u", True]


@on_trio
async def test_the_end_of_the_connection_is_peer_lost_for_all_who_wait_and_all_who_come() -> None:
    ours, peer = peer_that_says(GREETING)
    lost = []
    async with trio.open_nursery() as negotiation, peer:
        negotiation.start_soon(negotiate, peer)
        async with open_qmp(ours) as client:

            async def ask(name: str) -> None:
                with pytest.raises(PeerLost, match=name):
                    await client.execute(name)
                lost.append(name)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, "one")
                nursery.start_soon(ask, "two")
                await trio.testing.wait_all_tasks_blocked()
                await peer.aclose()
            await ask("three")
            with pytest.raises(trio.EndOfChannel):
                await client.events.receive()
    assert sorted(lost) == ["one", "three", "two"]


@pytest.mark.parametrize(
    ("said", "garbled"),
    [
        (b"", False),
        (GREETING, False),
        (b'{"QMP": {', False),
        (b"SSH-2.0-OpenSSH\r\n", True),
        (b"[]", True),
        (b'{"id": [], "return": 1}', True),
        (b'{"return": 1}', True),
        (b'{"id": 1, "error": {}}', True),
    ],
)
def test_who_hangs_up_or_speaks_something_else_is_lost(said: bytes, garbled: bool) -> None:
    @on_trio
    async def main() -> None:
        ours, peer = peer_that_says(said)
        async with peer:
            await peer.send_eof()
            with pytest.raises(PeerLost) as caught:
                async with open_qmp(ours):
                    pass
        assert isinstance(caught.value.__cause__, ProtocolError) == garbled

    main()


@functools.partial(on_trio, clock=trio.testing.MockClock(autojump_threshold=0))
async def test_nobody_at_the_path_within_the_time_is_connect_timeout() -> None:
    started = trio.current_time()
    for timeout_ns in (0, 3_000_000_000):
        with pytest.raises(ConnectTimeout):
            async with open_qmp("/nonexistent/qmp.sock", timeout_ns):
                pass
    assert 3 <= trio.current_time() - started < 3.1


def test_connects_as_soon_as_somebody_listens(tmp_path: Path) -> None:
    path = tmp_path / "qmp.sock"

    async def listen_later(nursery: trio.Nursery) -> None:
        await trio.sleep(0.05)
        with unix_listener(path) as listener:
            await QmpServer(MIGRATE).serve(listener)

    @on_trio
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen_later, nursery)
            async with open_qmp(path, 5_000_000_000) as client:
                assert await client.execute("migrate", uri="u") == ["u", True]
            nursery.cancel_scope.cancel()

    main()


def test_cancelling_a_client_mid_command_leaves_no_warning_behind() -> None:
    @on_trio
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            server = QmpServer({"hang": Command(trio.sleep_forever)})
            with trio.move_on_after(0.02) as scope:
                async with open_qmp(attended(server, nursery)) as client:
                    await client.execute("hang")
            assert scope.cancelled_caught
            nursery.cancel_scope.cancel()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        main()
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


def test_qemus_own_client_talks_to_the_server(tmp_path: Path) -> None:
    qmp = pytest.importorskip("qemu.qmp")
    path = tmp_path / "qmp.sock"

    async def stranger() -> list[Any]:
        client = qmp.QMPClient("test")
        await client.connect(str(path))
        with client.listener() as events:
            said = [await client.execute("migrate", {"uri": "u", "exit-on-error": False})]
            for arguments in ({"uri": "bad"}, {"foo": 1}):
                try:
                    await client.execute("migrate", arguments)
                except qmp.ExecuteError as error:
                    said.append((error.error.error.class_, error.error.error.desc))
            said.append(await client.execute("quit"))
            said.append((await events.get())["event"])
        with contextlib.suppress(EOFError):  # how it says that the server, told to quit, was faster
            await client.disconnect()
        return said

    @on_trio
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            quit_ = Command(lambda: server.event("SHUTDOWN"), after=nursery.cancel_scope.cancel)
            server = QmpServer({**MIGRATE, "quit": quit_})
            with unix_listener(path) as listener:
                nursery.start_soon(server.serve, listener)
                with trio.CancelScope(shield=True):
                    said = await trio.to_thread.run_sync(asyncio.run, stranger())
        assert said == [
            ["u", False],
            ("DeviceNotFound", "no such device"),
            ("GenericError", "Parameter 'uri' is missing"),
            {},
            "SHUTDOWN",
        ]

    main()
