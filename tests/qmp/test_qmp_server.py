"""The server, spoken to in raw bytes over socketpairs and unix sockets."""

from __future__ import annotations

import functools
import gc
import json
import os
import socket
import time
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from listening import unix_listener

from livemig.errors import LivemigError, QmpError
from livemig.qmp.commands import Command
from livemig.qmp.server import MAX_CLIENTS, MAX_UNSENT, QmpServer

NEGOTIATE = b'{"execute": "qmp_capabilities"}'


def on_trio(test: Callable[[], Awaitable[None]], **options: Any) -> Callable[[], None]:
    @functools.wraps(test)
    def run() -> None:
        async def limited() -> None:
            with trio.fail_after(10):
                await test()

        trio.run(limited, **options)

    del run.__wrapped__  # pytest would take it for an async test
    return run


class Raw:
    """A client that knows only bytes and lines."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._buffer = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def line(self) -> dict[str, Any] | None:
        """The next message, None at the end of the stream."""
        while b"\r\n" not in self._buffer:
            data = await self.stream.receive_some()
            if not data:
                return None
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        message: dict[str, Any] = json.loads(line)
        return message

    async def ask(self, data: bytes) -> dict[str, Any] | None:
        await self.send(data)
        return await self.line()

    async def negotiated(self) -> Raw:
        assert "QMP" in (await self.line() or {})
        assert await self.ask(NEGOTIATE) == {"return": {}}
        return self


def connect(server: QmpServer, nursery: trio.Nursery) -> Raw:
    ours, theirs = (
        trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in socket.socketpair(socket.AF_UNIX)
    )
    nursery.start_soon(server.attend, theirs)
    return Raw(ours)


def error(error_class: str, desc: str, **echo: Any) -> dict[str, Any]:
    return {"error": {"class": error_class, "desc": desc}, **echo}


def migrate(uri: str, exit_on_error: bool = True) -> dict[str, Any]:
    if uri == "bad":
        raise QmpError("DeviceNotFound", "no such device")
    if uri == "worse":
        raise LivemigError("the link is down")
    if uri == "bug":
        raise ZeroDivisionError("oops")
    if uri == "unsayable":
        return {"value": 1 << 64}
    return {"uri": uri, "exit-on-error": exit_on_error}


MIGRATE = {"migrate": Command(migrate, {"uri": ("string", True), "exit-on-error": ("boolean", False)})}


@on_trio
async def test_before_the_negotiation_only_the_negotiation_is_answered() -> None:
    async with trio.open_nursery() as nursery:
        raw = connect(QmpServer(MIGRATE), nursery)
        greeting = await raw.line()
        assert greeting is not None
        assert greeting["QMP"].keys() == {"version", "capabilities"}
        assert greeting["QMP"]["version"].keys() == {"qemu", "package"}
        expecting = "Expecting capabilities negotiation with 'qmp_capabilities'"
        for name in ("migrate", "query-commands", "nonsense"):
            asked = json.dumps({"execute": name}).encode()
            assert await raw.ask(asked) == error("CommandNotFound", expecting)
        oob = b'{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}'
        assert await raw.ask(oob) == error("GenericError", "Capability oob not available")
        assert await raw.ask(NEGOTIATE) == {"return": {}}
        again = await raw.ask(NEGOTIATE)
        assert again is not None
        assert again["error"]["class"] == "CommandNotFound"
        nursery.cancel_scope.cancel()


@on_trio
async def test_ids_of_any_shape_come_back_with_results_and_with_errors() -> None:
    async with trio.open_nursery() as nursery:
        raw = await connect(QmpServer(MIGRATE), nursery).negotiated()
        for identity in (0, None, "x", [1, {"a": None}], {"b": [1.5, "é"]}):
            good = {"execute": "migrate", "arguments": {"uri": "u"}, "id": identity}
            expected = {"return": {"uri": "u", "exit-on-error": True}, "id": identity}
            assert await raw.ask(json.dumps(good).encode()) == expected
            bad = {"execute": "X", "id": identity}
            not_found = error("CommandNotFound", "The command X has not been found", id=identity)
            assert await raw.ask(json.dumps(bad).encode()) == not_found
            malformed = {"exec": "X", "id": identity}
            unexpected = error("GenericError", "QMP input member 'exec' is unexpected", id=identity)
            assert await raw.ask(json.dumps(malformed).encode()) == unexpected
        nursery.cancel_scope.cancel()


@on_trio
async def test_arguments_and_errors_of_handlers() -> None:
    async with trio.open_nursery() as nursery:
        raw = await connect(QmpServer(MIGRATE), nursery).negotiated()

        async def asked(arguments: dict[str, Any]) -> dict[str, Any] | None:
            return await raw.ask(json.dumps({"execute": "migrate", "arguments": arguments}).encode())

        given = {"uri": "u", "exit-on-error": False}
        assert await asked(given) == {"return": given}
        assert await asked({}) == error("GenericError", "Parameter 'uri' is missing")
        assert await asked({"uri": "bad"}) == error("DeviceNotFound", "no such device")
        assert await asked({"uri": "worse"}) == error("GenericError", "the link is down")
        nursery.cancel_scope.cancel()


def test_a_bug_in_a_handler_is_answered_logged_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    @on_trio
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            raw = await connect(QmpServer(MIGRATE), nursery).negotiated()
            for uri, says in (("bug", "ZeroDivisionError"), ("unsayable", "nteger")):
                asked = {"execute": "migrate", "arguments": {"uri": uri}, "id": 7}
                reply = await raw.ask(json.dumps(asked).encode())
                assert reply is not None
                assert (reply["error"]["class"], reply["id"]) == ("GenericError", 7)
                assert says in reply["error"]["desc"]
            nursery.cancel_scope.cancel()

    main()
    assert [record.exc_info is not None for record in caplog.records] == [True, True]


@on_trio
async def test_bytes_one_by_one_several_at_once_and_garbage_between() -> None:
    async with trio.open_nursery() as nursery:
        raw = await connect(QmpServer({"async": Command(lambda: trio.sleep(0))}), nursery).negotiated()
        for byte in b'{"execute": "async", "id": "slow"}':
            await raw.send(bytes([byte]))
        assert await raw.line() == {"return": {}, "id": "slow"}
        await raw.send(b'{"execute": "async", "id": 1}{"execute": oops}\n{"execute": "async", "id": 2}')
        assert await raw.line() == {"return": {}, "id": 1}
        assert await raw.line() == error("GenericError", "JSON parse error, invalid keyword 'oops'")
        assert await raw.line() == {"return": {}, "id": 2}
        await raw.send(b'{"execute": "async", "id": "' + b"x" * (2 << 20) + b'"}' + b'{"execute": "async"}')
        assert await raw.line() == error("GenericError", "JSON token size limit exceeded")
        assert await raw.line() == {"return": {}}
        nursery.cancel_scope.cancel()


@on_trio
async def test_query_commands_lists_what_can_be_called() -> None:
    async with trio.open_nursery() as nursery:
        raw = await connect(QmpServer(MIGRATE), nursery).negotiated()
        reply = await raw.ask(b'{"execute": "query-commands"}')
        assert reply is not None
        names = {"qmp_capabilities", "query-commands", "query-version", "migrate"}
        assert sorted(reply["return"], key=str) == [{"name": name} for name in sorted(names)]
        nursery.cancel_scope.cancel()


@on_trio
async def test_each_client_negotiates_for_itself_and_events_go_to_those_who_have() -> None:
    async with trio.open_nursery() as nursery:
        server = QmpServer({})
        one, two = [await connect(server, nursery).negotiated() for _ in range(2)]
        third = connect(server, nursery)
        assert "QMP" in (await third.line() or {})
        before = time.time()
        server.event("STOP")
        server.event("MIGRATION", {"status": "active"})
        for raw in (one, two):
            stop, migration = await raw.line(), await raw.line()
            assert stop is not None
            assert migration is not None
            assert stop.keys() == {"event", "timestamp"}
            stamp = stop["timestamp"]
            assert abs(stamp["seconds"] + stamp["microseconds"] / 1e6 - before) < 5
            assert (migration["event"], migration["data"]) == ("MIGRATION", {"status": "active"})
        assert await third.ask(NEGOTIATE) == {"return": {}}  # and no event before it
        nursery.cancel_scope.cancel()


@on_trio
async def test_an_event_that_a_command_causes_precedes_its_reply() -> None:
    async with trio.open_nursery() as nursery:
        server = QmpServer({"stop": Command(lambda: server.event("STOP"))})
        raw = await connect(server, nursery).negotiated()
        assert "event" in (await raw.ask(b'{"execute": "stop"}') or {})
        assert await raw.line() == {"return": {}}
        nursery.cancel_scope.cancel()


@on_trio
async def test_a_client_that_does_not_read_is_dropped_and_the_others_lose_nothing() -> None:
    async with trio.open_nursery() as nursery:
        server = QmpServer(MIGRATE)
        deaf = await connect(server, nursery).negotiated()
        reader = await connect(server, nursery).negotiated()
        count = 4 * MAX_UNSENT // 10_000
        for number in range(count):
            server.event("E", {"number": number, "pad": "x" * 10_000})
            event = await reader.line()
            assert event is not None
            assert event["data"]["number"] == number
        heard = 0
        while await deaf.line():
            heard += 1
        assert 0 < heard < count  # what the kernel held, then the end of the stream
        assert (await reader.ask(b'{"execute": "query-version"}') or {}).keys() == {"return"}
        nursery.cancel_scope.cancel()


@on_trio
async def test_a_crowd_is_hung_up_on_and_there_is_room_again_when_somebody_leaves() -> None:
    async with trio.open_nursery() as nursery:
        server = QmpServer(MIGRATE)
        crowd = [await connect(server, nursery).negotiated() for _ in range(MAX_CLIENTS)]
        assert await connect(server, nursery).line() is None
        assert (await crowd[0].ask(b'{"execute": "query-version"}') or {}).keys() == {"return"}
        await crowd[1].stream.aclose()
        while len(server._clients) == MAX_CLIENTS:
            await trio.sleep(0.001)
        await connect(server, nursery).negotiated()
        nursery.cancel_scope.cancel()


@on_trio
async def test_an_object_that_is_never_closed_costs_its_limit_and_no_more_and_0xff_is_the_way_out() -> None:
    async with trio.open_nursery() as nursery:
        raw = await connect(QmpServer(MIGRATE), nursery).negotiated()
        for _ in range(40):
            await raw.send(b'{"execute": [' + b"[1]," * 25_000)
        assert await raw.line() == error("GenericError", "JSON token size limit exceeded")
        await raw.send(b"\xff\n")
        assert (await raw.ask(b'{"execute": "query-version"}') or {}).keys() == {"return"}
        nursery.cancel_scope.cancel()


@on_trio
async def test_a_client_that_asks_and_never_reads_is_not_read_from_any_more() -> None:
    """Its own requests wait for it: the server holds one reply, and the sockets what they hold."""
    async with trio.open_nursery() as nursery:
        server = QmpServer({"big": Command(lambda: "x" * 100_000)})
        deaf, other = await connect(server, nursery).negotiated(), await connect(server, nursery).negotiated()
        with trio.move_on_after(0.3) as scope:
            for _ in range(1000):
                await deaf.send(b'{"execute": "big", "id": "' + b"y" * 1000 + b'"}')
        assert scope.cancelled_caught
        assert sum(len(client._unsent) for client in server._clients) < 200_000
        assert (await other.ask(b'{"execute": "query-version"}') or {}).keys() == {"return"}
        nursery.cancel_scope.cancel()


@on_trio
async def test_a_command_outlives_its_client() -> None:
    started, go_on, finished = trio.Event(), trio.Event(), trio.Event()

    async def slow() -> None:
        started.set()
        await go_on.wait()
        finished.set()

    async with trio.open_nursery() as nursery:
        server = QmpServer({"slow": Command(slow)})
        other = await connect(server, nursery).negotiated()
        raw = await connect(server, nursery).negotiated()
        await raw.send(b'{"execute": "slow"}')
        await started.wait()
        await raw.stream.aclose()
        server.event("STOP")  # which finds out that it is gone
        assert "event" in (await other.line() or {})
        assert (await other.ask(b'{"execute": "query-version"}') or {}).keys() == {"return"}
        go_on.set()
        await finished.wait()
        nursery.cancel_scope.cancel()


@on_trio
async def test_commands_of_different_clients_run_side_by_side() -> None:
    go_on = trio.Event()
    async with trio.open_nursery() as nursery:
        server = QmpServer({"wait": Command(go_on.wait), "go": Command(go_on.set)})
        one, two = await connect(server, nursery).negotiated(), await connect(server, nursery).negotiated()
        await one.send(b'{"execute": "wait"}')
        assert await two.ask(b'{"execute": "go"}') == {"return": {}}
        assert await one.line() == {"return": {}}
        nursery.cancel_scope.cancel()


@on_trio
async def test_quit_is_answered_and_announced_to_all_before_the_server_ends() -> None:
    async with trio.open_nursery() as outer:
        async with trio.open_nursery() as nursery:
            command = Command(lambda: server.event("SHUTDOWN"), after=nursery.cancel_scope.cancel)
            server = QmpServer({"quit": command})
            asking = await connect(server, nursery).negotiated()
            other = await connect(server, nursery).negotiated()
            outer.start_soon(asking.send, b'{"execute": "quit"}')
        for raw, expected in ((asking, ["event", "return"]), (other, ["event"])):
            for key in expected:
                assert key in (await raw.line() or {})
            assert await raw.line() is None


@functools.partial(on_trio, clock=trio.testing.MockClock(autojump_threshold=0.05))
async def test_a_client_that_does_not_read_cannot_keep_quit_from_quitting() -> None:
    quitting = trio.Event()
    async with trio.open_nursery() as nursery:
        raw = await connect(QmpServer({"quit": Command(dict, after=quitting.set)}), nursery).negotiated()
        await raw.send(b'{"execute": "quit", "id": "' + b"x" * 1_000_000 + b'"}')
        await quitting.wait()
        nursery.cancel_scope.cancel()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_cancellation_leaves_no_connection_no_file_and_no_warning_behind(tmp_path: Path) -> None:
    path = tmp_path / "qmp.sock"

    @on_trio
    async def main() -> None:
        before = open_files()
        with unix_listener(path) as listener:
            async with trio.open_nursery() as nursery:
                server = QmpServer({"hang": Command(trio.sleep_forever)})
                nursery.start_soon(server.serve, listener)
                silent, busy, fresh = [Raw(await trio.open_unix_socket(path)) for _ in range(3)]
                await silent.negotiated()
                await (await busy.negotiated()).send(b'{"execute": "hang"}')
                assert "QMP" in (await fresh.line() or {})
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            for raw in (silent, busy, fresh):
                assert await raw.line() is None
                await raw.stream.aclose()
        assert open_files() == before
        assert not server._clients  # else each that ever came would be kept, and posted to

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        main()
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
    assert not path.exists()
