"""A QMP client, for livemig's own server and for a real QEMU."""

from __future__ import annotations

import itertools
import math
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

from livemig.errors import ConnectTimeout, PeerLost, ProtocolError, QmpError
from livemig.qmp import wire

Message = dict[str, Any]

MAX_REPLY: Final = 16 << 20
RETRY_NS: Final = 10_000_000
_GREETING: Final = "greeting"  # in the place of an id


@asynccontextmanager
async def open_qmp(
    where: str | os.PathLike[str] | socket.socket, connect_timeout_ns: int = 0
) -> AsyncIterator[QmpClient]:
    """A client that has negotiated; the connection is closed at the end.

    Args:
        where: path of a unix socket, or a connected socket.
        connect_timeout_ns: for how long to try again while nobody listens at the path. A listener that says
            nothing is waited for without end.

    Raises:
        ConnectTimeout: nobody listened there.
        PeerLost: the server hung up, or spoke something else, before the negotiation was done.
        QmpError: it refused the negotiation.
    """
    if isinstance(where, socket.socket):
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(where))
    else:
        stream = await _connect(os.fspath(where), connect_timeout_ns)
    failure: Exception | None = None
    async with stream, trio.open_nursery() as nursery:
        client = QmpClient(stream)
        nursery.start_soon(client.receive)
        nursery.start_soon(client.send)
        try:
            await client.negotiate()
            yield client
        except Exception as error:
            failure = error  # raised where the nursery does not wrap it into a group
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _connect(path: str, timeout_ns: int) -> trio.SocketStream:
    deadline = trio.current_time() + timeout_ns / 1e9
    while True:
        try:
            return await trio.open_unix_socket(path)
        except OSError as error:
            if trio.current_time() >= deadline:
                raise ConnectTimeout(f"unix:{path}", timeout_ns, error.strerror or str(error)) from error
        await trio.sleep(RETRY_NS / 1e9)


class QmpClient:
    """An open connection, from :func:`open_qmp`.

    Attributes:
        greeting: the ``QMP`` member of the server's.
        events: every event since the negotiation, in order, as sent; none is dropped, however many wait.
            It ends when the connection does; leave it open till then.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self.greeting: Message = {}
        self._arrived, self.events = trio.open_memory_channel[Message](math.inf)
        self._outbox, self._unsent = trio.open_memory_channel[bytes](math.inf)
        self._waiting: dict[object, trio.MemorySendChannel[Message]] = {}
        self._ids = itertools.count(1)
        self._stream = stream
        self._lost = False
        self._cause: Exception | None = None

    async def execute(self, command: str, arguments: Mapping[str, Any] | None = None, /, **more: Any) -> Any:
        """What ``command`` returns. Any number of tasks may have one under way.

        Args:
            command: QMP name.
            arguments: by QMP name.
            more: arguments too, ``_`` standing for ``-``.

        Raises:
            QmpError: the server's error.
            PeerLost: the connection ended before the reply.
        """
        given = {**(arguments or {}), **{name.replace("_", "-"): value for name, value in more.items()}}
        number = next(self._ids)
        request = wire.message({"execute": command, "arguments": given, "id": number})
        reply = await self._reply(number, f"QMP command {command}", request)
        if "error" in reply:
            raise QmpError(reply["error"]["class"], reply["error"]["desc"])
        return reply["return"]

    async def negotiate(self) -> None:
        self.greeting = (await self._reply(_GREETING, "QMP greeting", b""))["QMP"]
        await self.execute("qmp_capabilities")

    async def _reply(self, key: object, during: str, request: bytes) -> Message:
        if self._lost:
            raise PeerLost(during) from self._cause
        self._waiting[key], reply = trio.open_memory_channel[Message](1)
        self._outbox.send_nowait(request)
        try:
            return await reply.receive()
        except trio.EndOfChannel:
            raise PeerLost(during) from self._cause
        finally:
            self._waiting.pop(key, None)

    async def send(self) -> None:
        """Sends from a task of its own: a caller that is cancelled leaves no half a request behind."""
        try:
            async for request in self._unsent:
                await self._stream.send_all(request)
        except trio.BrokenResourceError:
            pass  # `receive` learns of it too, after the last replies

    async def receive(self) -> None:
        """Distributes what arrives, until the connection ends."""
        splitter = wire.JsonSplitter(MAX_REPLY)
        try:
            while data := await self._stream.receive_some():
                for value in splitter.feed(data):
                    self._route(value)
        except (trio.BrokenResourceError, ProtocolError) as error:
            self._cause = error
        finally:
            self._lost = True
            self._arrived.close()
            for waiting in self._waiting.values():
                waiting.close()

    def _route(self, value: Any) -> None:
        match value:
            case {"event": _}:
                self._arrived.send_nowait(value)
                return
            case {"QMP": _}:
                key: object = _GREETING
            case {"id": int(key), "return": _} | {"id": int(key), "error": {"class": _, "desc": _}}:
                pass
            case _:
                raise ProtocolError("QMP", "message", f"neither event nor reply: {value!r:.200}")
        if key in self._waiting:  # else whoever asked was cancelled meanwhile
            self._waiting.pop(key).send_nowait(value)
