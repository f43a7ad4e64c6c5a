"""A QMP server: several clients at once, each negotiates for itself; events go to all that have.

The commands of one client run one after the other, those of different clients side by side. No client holds
up the process: :meth:`QmpServer.event` only queues, and who leaves MAX_UNSENT bytes unread is dropped. Who comes when
MAX_CLIENTS are there is hung up on.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import trio

from livemig import __version__
from livemig.errors import LivemigError, QmpError
from livemig.qmp import wire
from livemig.qmp.commands import Command, keywords

MAX_UNSENT: Final = 1 << 20
MAX_CLIENTS: Final = 32
FAREWELL_S: Final = 1  # how long what a command has to say may take to leave, if something comes `after`

#: The QEMU whose commands and words these are, in the form of ``query-version``.
VERSION: Final[Mapping[str, Any]] = {
    "qemu": {"micro": 0, "minor": 0, "major": 10},
    "package": f"livemig {__version__}",
}

_log = logging.getLogger(__name__)


class QmpServer:
    """Serves ``commands``, and by itself ``qmp_capabilities``, ``query-commands`` and ``query-version``.

    Args:
        commands: by QMP name.
        version: what the greeting and ``query-version`` say.
    """

    def __init__(self, commands: Mapping[str, Command], version: Mapping[str, Any] = VERSION) -> None:
        names = [
            {"name": name} for name in ("qmp_capabilities", "query-commands", "query-version", *commands)
        ]
        builtin = {"query-commands": Command(lambda: names), "query-version": Command(lambda: version)}
        self._commands = {**builtin, **commands}
        self._version = version
        self._clients: set[_Client] = set()

    async def serve(self, listener: trio.SocketListener) -> None:
        """Attend to all who connect, until cancelled; then no connection is left, and ``listener`` closed."""
        await trio.serve_listeners(self.attend, [listener])

    async def attend(self, stream: trio.SocketStream) -> None:
        """Serve one connection until its client leaves. What it has sent by then is carried out."""
        if len(self._clients) >= MAX_CLIENTS:
            await stream.aclose()
            return
        client = _Client(stream)
        self._clients.add(client)
        try:
            async with stream, trio.open_nursery() as nursery:
                nursery.start_soon(client.send_posted)
                client.post(wire.greeting(self._version))
                splitter = wire.JsonSplitter()
                while data := await client.receive():
                    for value in splitter.feed(data):
                        await self._answer(client, value)
                nursery.cancel_scope.cancel()
        finally:
            self._clients.discard(client)

    def event(self, name: str, data: Mapping[str, Any] | None = None) -> None:
        """Tell every client that has negotiated that ``name`` happened, now. Never blocks."""
        message = wire.event(name, data, time.time_ns())
        for client in self._clients:
            client.notify(message)

    async def _answer(self, client: _Client, value: Any) -> None:
        echo, after = wire.id_of(value), None
        try:
            if isinstance(value, QmpError):
                raise value
            name, arguments = wire.request(value)
            command = self._command(client, name)
            result = command.handler(**keywords(command.arguments, arguments))
            if inspect.isawaitable(result):
                result = await result
            reply, after = wire.success(result, echo), command.after
        except QmpError as error:
            reply = wire.failure(error, echo)
        except LivemigError as error:
            reply = wire.failure(wire.generic(str(error)), echo)
        except Exception as error:  # a bug in one command must not take the guest down
            _log.exception("QMP command failed: %.200r", value)
            reply = wire.failure(wire.generic(f"internal error: {error!r}"), echo)
        client.post(reply)
        if after is None:
            await client.flush()
        else:
            await self.flush()
            after()

    async def flush(self) -> None:
        """Until what every client is to be told has left, or whoever it is for does not want it."""
        with trio.move_on_after(FAREWELL_S):
            async with trio.open_nursery() as nursery:
                for each in self._clients:
                    nursery.start_soon(each.flush)

    def _command(self, client: _Client, name: str) -> Command:
        if name == "qmp_capabilities":
            return Command(client.negotiate, {"enable": ("array", False)})
        if not client.negotiated:
            expected = "Expecting capabilities negotiation with 'qmp_capabilities'"
            raise QmpError("CommandNotFound", expected)
        if name not in self._commands:
            raise QmpError("CommandNotFound", f"The command {name} has not been found")
        return self._commands[name]


class _Client:
    """One connection: whether it has negotiated, and what waits to be sent to it."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.negotiated = False
        self._stream = stream
        self._unsent = bytearray()
        self._posted = trio.Event()
        self._sending = trio.Lock()

    def negotiate(self, enable: Sequence[Any] = ()) -> None:
        """The command ``qmp_capabilities``. None is offered, so none can be enabled."""
        if self.negotiated:
            done = "Capabilities negotiation is already complete, command ignored"
            raise QmpError("CommandNotFound", done)
        if enable:
            raise wire.generic(f"Capability {', '.join(map(str, enable))} not available")
        self.negotiated = True

    def post(self, message: bytes) -> None:
        self._unsent += message
        self._posted.set()

    def notify(self, message: bytes) -> None:
        if self.negotiated:
            self.post(message)
            if len(self._unsent) > MAX_UNSENT:
                self._drop()

    async def send_posted(self) -> None:
        while True:
            await self._posted.wait()
            self._posted = trio.Event()
            await self.flush()

    async def flush(self) -> None:
        """Returns when all that was posted has been handed to the kernel, or the client is gone."""
        async with self._sending:
            data, self._unsent = self._unsent, bytearray()
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._drop()

    async def receive(self) -> bytes:
        try:
            return await self._stream.receive_some()
        except trio.BrokenResourceError:
            return b""

    def _drop(self) -> None:
        # A shutdown, not a cancellation: it wakes both directions, and the command that runs can finish.
        self.negotiated = False
        self._unsent.clear()
        try:
            self._stream.socket.shutdown(trio.socket.SHUT_RDWR)
        except OSError:
            pass  # the peer was faster
