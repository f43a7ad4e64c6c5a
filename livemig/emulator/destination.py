"""The destination's emulator: waits for a source, and runs the guest when it is its own."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from livemig.clock.clock import Clock
from livemig.config.model import Config
from livemig.emulator import build
from livemig.emulator.emulator import Emulator, Notice
from livemig.errors import LivemigError, ProtocolError
from livemig.events.log import EventLog
from livemig.events.schema import DESTINATION
from livemig.link.channel import Channel
from livemig.link.door import Door
from livemig.link.stream_file import FileReader, Stored
from livemig.migration.destination import Destination
from livemig.migration.frames import Frame
from livemig.migration.status import Status
from livemig.timers.ticks import NS_PER_S

if TYPE_CHECKING:
    import ssl


class DestinationEmulator(Emulator):
    """Takes the first source that says hello at ``listener``, and no other. Its time begins with that.

    Args:
        listener: or a file in which a source's stream is; None if the peer is brought (:meth:`Emulator.use`).
        credentials: for TLS; None: it is not spoken.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock,
        log: EventLog,
        listener: socket.socket | Stored | None,
        watch: Callable[[Notice], None] = lambda notice: None,
        credentials: ssl.SSLContext | None = None,
    ) -> None:
        patience_ns = config.migration.peer_timeout
        super().__init__(build.machine(config, DESTINATION), clock, log, config.run.duration, watch, patience_ns)
        self.wire = build.link(config, DESTINATION)
        self.side: Destination = Destination(
            self.machine,
            build.host(config, DESTINATION),
            self.wire,
            build.settings(config),
            self.emit,
        )
        self._stored = listener if isinstance(listener, Stored) else None
        self._door: Door | None = None
        if isinstance(listener, socket.socket):
            self._door = Door(listener, credentials, patience_ns / NS_PER_S, self._let_in, self._turned_away)

    async def accept(self) -> None:
        """Wait for the source, and keep all others off; a task beside :meth:`run`."""
        if self._stored is not None:
            await self._restore(self._stored)
        elif self._door is not None:
            await self._door.serve()

    async def _restore(self, stored: Stored) -> None:
        self.side.from_file = True
        reader = FileReader(stored)
        await reader.open()
        reader.grant(self.machine.ram.memory)
        self.attach(reader)

    def _let_in(self, channel: Channel, hello: Frame) -> None:
        channel.grant(self.machine.ram.memory)
        self.attach(channel)
        self.heard(hello)

    def _turned_away(self, reason: str) -> None:
        self._watch(Notice("X_LIVEMIG_TURNED_AWAY", {"reason": reason}))

    def awaits_peer(self) -> bool:
        return not self.side.over and self.side.owner == "source" and not self._inbox

    def signs(self, channel: Channel) -> int:
        return channel.signs + channel.signs_of_life  # a guest may run for long between two frames of its source

    def say_why(self, now: int, error: LivemigError) -> None:
        if isinstance(error, ProtocolError) and self.awaits_peer():
            self.side.refuse(now, str(error))

    def conclude(self, now: int) -> None:
        if self.side.status in (Status.FAILED, Status.CANCELLED):
            self.finish(self.side.reason or str(self.side.status))
        elif self.side.resumed_ns is not None and now >= self.duration_ns:
            self.finish("duration")

    def progress(self) -> dict[str, Any]:
        """``query-migrate``: a destination knows its status."""
        side = self.side
        if side.status is Status.NONE:
            return {}
        return {"status": str(side.status), **({"error-desc": side.reason} if side.reason else {})}
