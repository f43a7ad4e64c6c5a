"""The destination's emulator: waits for a source, and runs the guest when it is its own."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from livemig.clock.clock import Clock
from livemig.config.model import Config
from livemig.emulator import build
from livemig.emulator.emulator import Emulator, Notice
from livemig.emulator.hops import Hops
from livemig.errors import LivemigError, ProtocolError, QmpError
from livemig.events.log import EventLog
from livemig.events.schema import DESTINATION
from livemig.link.channel import Channel
from livemig.link.door import Door, Gate
from livemig.link.stream_file import FileReader, Stored
from livemig.link.uri import is_secure, listen, socket_address
from livemig.migration.destination import Destination
from livemig.migration.frames import Frame
from livemig.migration.status import POSTCOPY, Status
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
        patience_ns, cuts = config.migration.peer_timeout + build.fault_delay_ns(config), build.cuts(config)
        super().__init__(build.machine(config, DESTINATION), clock, log, config.run.duration, watch, patience_ns, cuts)
        self.lay(config, build.link(config, DESTINATION))
        parts = (build.host(config, DESTINATION), self.wire, build.settings(config), self.emit)
        self.hops = Hops(config, DESTINATION, parts)
        self.side: Destination = self.hops.destination(self.machine)
        self._credentials, self._limit_s = credentials, patience_ns / NS_PER_S
        self.uri: str | None = None
        """Where a source may recover a postcopy."""
        self._stored = listener if isinstance(listener, Stored) else None
        self.gate = Gate()
        self._door: Door | None = None
        if isinstance(listener, socket.socket):
            self._door = Door(
                listener, credentials, patience_ns / NS_PER_S, self._let_in, self._turned_away, gate=self.gate
            )

    async def accept(self) -> None:
        """Wait for the source, and keep all others off; a task beside :meth:`run`."""
        if self._stored is not None:
            await self._restore(self._stored)
        elif self._door is not None:
            await self._door.serve()

    async def _restore(self, stored: Stored) -> None:
        self.side.by_file = True
        reader = FileReader(stored)
        await reader.open()
        reader.grant(self.machine.ram.memory)
        self.attach(reader)

    def _let_in(self, channel: Channel, hello: Frame) -> None:
        channel.grant(self.machine.ram.memory, self.machine.ram.watch)
        self.attach(channel)
        self.restrict()
        self.heard(hello)

    def restrict(self) -> None:
        """To the RAM of a guest that is ours, the source may write the pages that are missing."""
        if self._channel is not None and self.side.postcopy is not None:
            self._channel.restrict(self.side.postcopy.missing)

    def _receive(self, now: int, frame: Frame) -> None:
        super()._receive(now, frame)
        if frame.type == "discard":
            self.restrict()

    def recover(self, uri: str) -> None:
        """QMP ``migrate-recover``: wait for the source at ``uri``.

        Raises:
            QmpError: no postcopy is paused. LinkError, UsageError: this cannot listen there.
        """
        if self.side.status is not Status.POSTCOPY_PAUSED:
            raise QmpError("GenericError", "Migrate recover can only be run when postcopy is paused.")
        listener, self.uri = listen(uri)
        credentials = self._credentials if is_secure(uri) else None
        door = Door(listener, credentials, self._limit_s, self._let_in, self._turned_away, first="recover")
        self._nursery.start_soon(door.serve)

    def _turned_away(self, reason: str) -> None:
        self._watch(Notice("X_LIVEMIG_TURNED_AWAY", {"reason": reason}))

    def awaits_peer(self) -> bool:
        if self._before is not None:
            return super().awaits_peer()
        return not self.side.over and self.side.owner == "source" and not self._inbox

    def signs(self, channel: Channel) -> int:
        return channel.signs + channel.signs_of_life  # a guest may run for long between two frames of its source

    def say_why(self, now: int, error: LivemigError) -> None:
        if self._before is None and isinstance(error, ProtocolError) and self.awaits_peer():
            self.side.refuse(now, str(error))

    def conclude(self, now: int) -> None:
        if self.side.status in (Status.FAILED, Status.CANCELLED):
            self.finish(self.side.reason or str(self.side.status))
        elif self.side.resumed_ns is not None and now >= self.duration_ns:
            if self.side.status in POSTCOPY:
                self.side.fall_silent(now)
                self._post()
            self.finish("duration")

    def progress(self) -> dict[str, Any]:
        """``query-migrate``: a destination knows its status."""
        side = self.side
        if side.status is Status.NONE:
            return {}
        said: dict[str, Any] = {"status": str(side.status)}
        if side.reason:
            said["error-desc"] = side.reason
        if self.uri is not None:
            said["socket-address"] = [socket_address(self.uri)]
        if side.postcopy is not None:
            said |= side.postcopy.blocktime.figures()
        return said
