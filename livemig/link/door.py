"""The destination's door: who connects, who may come in.

Somebody who connects is nobody until he has shown a certificate (where TLS is spoken), said to which migration his
connection belongs (`channel`), been joined by all the other connections of it, and said `hello`. Until then no byte of
guest RAM is within his reach, he has a limited time, and there is a limited number of such people: when one more
comes, the one who has waited longest goes. One is let in; everybody after him is refused and told why.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import trio

from livemig.config.migration import MAX_CHANNELS
from livemig.errors import LinkError, ProtocolError
from livemig.link.channel import Channel
from livemig.link.joining import joined
from livemig.link.preempt_channel import NO_PREEMPT
from livemig.link.socket_channel import SocketChannel
from livemig.link.stream import SocketStream, Stream
from livemig.migration.frames import Frame
from livemig.migration.settings import POSTCOPY_PREEMPT

if TYPE_CHECKING:
    import ssl

_MOST: Final = 2 * (MAX_CHANNELS + 2)
"""People before the door at a time."""
_REFUSAL_S: Final = 2
"""How long a refusal may take to be taken."""

Enter = Callable[[Channel, Frame], None]
"""Called with the channel of whoever is let in, and its `hello`."""


@dataclass(slots=True)
class _Party:
    """The connections of one migration, as they come. `settled`: it is known whether it was `let_in`."""

    channels: int
    preempt: int
    identity: bytes
    members: dict[int, SocketChannel] = field(default_factory=dict)
    whole: trio.Event = field(default_factory=trio.Event)
    settled: trio.Event = field(default_factory=trio.Event)
    let_in: bool = False

    def join(self, said: dict[str, Any], identity: bytes, channel: SocketChannel) -> None:
        """Raises ProtocolError if it cannot belong here. ``said``: the fields of its `channel`."""
        index, channels = said["index"], said["channels"]
        for name, known in (("channels", self.channels), ("preempt", self.preempt)):
            if said[name] != known:
                raise ProtocolError("channel", name, f"{said[name]}, but {known} on another connection of it")
        if channels < (self.preempt != NO_PREEMPT):
            raise ProtocolError("channel", "preempt", "with no connection but the main one")
        if index > channels or index in self.members:
            raise ProtocolError("channel", "index", f"{index} is not one that is missing")
        if identity != self.identity:
            raise ProtocolError("channel", "session", "belongs to somebody with another certificate")
        self.members[index] = channel
        if len(self.members) == channels + 1:
            self.whole.set()

    def as_channel(self) -> Channel:
        return joined([self.members[index] for index in sorted(self.members)], self.preempt)


class Gate:
    """Who comes in: the first who says what is due, and nobody after him."""

    def __init__(self) -> None:
        self._taken = False

    def admit(self, hello: Frame) -> Frame | None:
        """Let him in who says ``hello``; or what he is to be told."""
        if self._taken:
            said = {"reason": "another source migrates here"}
            return Frame("refuse", hello.arrives_ns, hello.arrives_ns, said)
        self._taken = True
        return None


class Door:
    """Serves `listener`, which it closes.

    Args:
        credentials: for TLS; None: it is not spoken here. limit_s: time to identify oneself, host time.
        enter: see `Enter`. turned_away: told why somebody was.
        first: the frame that he has to say, if it is to be another than `hello`.
        gate: who decides; None: one of its own.
    """

    def __init__(
        self,
        listener: socket.socket,
        credentials: ssl.SSLContext | None,
        limit_s: float,
        enter: Enter,
        turned_away: Callable[[str], None] = lambda reason: None,
        first: str = "hello",
        gate: Gate | None = None,
    ) -> None:
        self._listener, self._credentials, self._limit_s = listener, credentials, limit_s
        self._enter, self._turned_away, self._first = enter, turned_away, first
        self._gate = gate or Gate()
        self._parties: dict[str, _Party] = {}
        self._waiting: OrderedDict[int, trio.CancelScope] = OrderedDict()

    async def serve(self) -> None:
        """Until it is cancelled."""
        listening = trio.socket.from_stdlib_socket(self._listener)
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    sock, _ = await listening.accept()
                    scope = trio.CancelScope()
                    self._waiting[id(scope)] = scope
                    if len(self._waiting) > _MOST:
                        self._waiting.popitem(last=False)[1].cancel()
                    nursery.start_soon(self._meet, socket.socket(fileno=sock.detach()), scope)
        finally:
            listening.close()

    async def _meet(self, sock: socket.socket, scope: trio.CancelScope) -> None:
        """One connection, from its first byte to its being let in or closed."""
        scope.deadline = trio.current_time() + self._limit_s
        reason = "did not identify itself in time"
        with scope:
            try:
                stream = await self._secured(sock)
                await self._identify(stream)
                reason = ""
            except (LinkError, ProtocolError) as error:
                reason = str(error)
        self._waiting.pop(id(scope), None)
        if reason:
            self._turned_away(reason)

    async def _secured(self, sock: socket.socket) -> Stream:
        if self._credentials is None:
            return SocketStream(sock)
        from livemig.link.tls import prove_to_client

        return await prove_to_client(sock, self._credentials)

    async def _identify(self, stream: Stream) -> None:
        channel = SocketChannel(stream, stranger=True)
        kept = False
        try:
            first = await channel.receive()
            if first.type != "channel":
                raise ProtocolError(first.type, "type", "where 'channel' is due")
            kept = await self._join(first, stream.identity, channel)
        finally:
            if not kept:
                with trio.CancelScope(shield=True):
                    await channel.aclose()

    async def _join(self, first: Frame, identity: bytes, channel: SocketChannel) -> bool:
        """Wait with the others of its party until that is let in, or not; whether it was."""
        session, index = first.fields["session"], first.fields["index"]
        party = self._parties.setdefault(session, _Party(first.fields["channels"], first.fields["preempt"], identity))
        try:
            party.join(first.fields, identity, channel)
        except ProtocolError:
            self._forget(session)
            raise
        try:
            if index:
                await party.settled.wait()
            else:
                await party.whole.wait()
                party.let_in = await self._admit(party)
                party.settled.set()
            return party.let_in
        finally:
            del party.members[index]
            self._forget(session)

    def _forget(self, session: str) -> None:
        """The party of which nobody is here."""
        if not self._parties[session].members:
            del self._parties[session]

    async def _admit(self, party: _Party) -> bool:
        channel = party.as_channel()
        hello = await channel.receive()
        if hello.type != self._first:
            raise ProtocolError(hello.type, "type", f"where {self._first!r} is due")
        refusal = _lacks_preempt(party, hello) or self._gate.admit(hello)
        if refusal is not None:
            await self._refuse(channel, refusal)
            return False
        self._enter(channel, hello)
        return True

    async def _refuse(self, channel: Channel, refusal: Frame) -> None:
        self._turned_away(refusal.fields["reason"])
        with trio.move_on_after(_REFUSAL_S), suppress(LinkError, ProtocolError):
            channel.post(refusal)
            while True:  # until it hangs up: closed from here, it might not read why
                await channel.receive()


def _lacks_preempt(party: _Party, hello: Frame) -> Frame | None:
    """What somebody is told who says that he has a connection for pages that are asked for, and has none."""
    if party.preempt != NO_PREEMPT or POSTCOPY_PREEMPT not in hello.fields.get("capabilities", ()):
        return None
    said = {"reason": f"{POSTCOPY_PREEMPT} is on, and there is no connection for it"}
    return Frame("refuse", hello.arrives_ns, hello.arrives_ns, said)
