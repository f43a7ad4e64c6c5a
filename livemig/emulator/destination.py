"""The destination's emulator: waits for a source, and runs the guest when it is its own."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import trio

from livemig.clock.clock import Clock
from livemig.config.model import Config
from livemig.emulator import build
from livemig.emulator.emulator import Emulator
from livemig.emulator.hops import Hops
from livemig.emulator.notices import Notice
from livemig.emulator.tuning import Tuning
from livemig.errors import LivemigError, ProtocolError, QmpError
from livemig.events.log import EventLog
from livemig.events.schema import DESTINATION
from livemig.link.channel import Channel, Ear
from livemig.link.door import Door, Gate
from livemig.link.stream_file import FileReader, Stored, check_head
from livemig.link.uri import close, file_path, is_secure, listen, socket_address
from livemig.migration.destination import Destination
from livemig.migration.frames import Frame
from livemig.migration.status import POSTCOPY, Status
from livemig.timers.ticks import NS_PER_S

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True, slots=True)
class Incoming:
    """How a source comes.

    Args:
        uri: where this listens; empty: nowhere, or nobody can know. deferred: QMP ``migrate-incoming`` will say.
        insecure: then plain TCP may leave the machine.
    """

    uri: str = ""
    deferred: bool = False
    insecure: bool = False


NOWHERE = Incoming()


class DestinationEmulator(Emulator):
    """Takes the first source that says hello at ``listener``, and no other. Its time begins with that.

    Args:
        listener: or a file in which a source's stream is; None if the peer is brought (:meth:`Emulator.use`), or
            ``incoming`` is deferred.
        credentials: for TLS; None: it is not spoken. born_ns: when it is started.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock,
        log: EventLog,
        listener: socket.socket | Stored | None,
        watch: Callable[[Notice], None] = lambda notice: None,
        credentials: ssl.SSLContext | None = None,
        incoming: Incoming = NOWHERE,
        born_ns: int = 0,
    ) -> None:
        patience_ns, cuts = config.migration.peer_timeout + build.answer_ns(config), build.cuts(config)
        machine = build.machine(config, DESTINATION, born_ns)
        super().__init__(machine, clock, log, config.run.duration, watch, patience_ns, cuts)
        self.lay(config, build.link(config, DESTINATION))
        parts = (build.host(config, DESTINATION), self.wire, build.settings(config), self.emit)
        self.hops = Hops(config, DESTINATION, parts)
        self.side: Destination = self.hops.destination(self.machine)
        self.tuning = Tuning(config)
        self._credentials, self._limit_s = credentials, patience_ns / NS_PER_S
        self._incoming, self._sockets = incoming, ExitStack()
        self.uri = incoming.uri
        """Where a source may come to, or recover a postcopy."""
        self._from, self._told = listener, trio.Event()
        self.gate = Gate()

    async def accept(self) -> None:
        """Wait for the source, and keep all others off; a task beside :meth:`run`."""
        with self._sockets:
            if self._incoming.deferred:
                await self._told.wait()
            if isinstance(self._from, Stored):
                await self._restore(self._from)
            elif self._from is not None:
                door = Door(
                    self._from, self._credentials, self._limit_s, self._let_in, self._turned_away, gate=self.gate
                )
                await door.serve()

    def incoming(self, uri: str) -> None:
        """QMP ``migrate-incoming``: the guest comes from there.

        Raises:
            QmpError: that has been said already. LinkError, UsageError: it cannot.
        """
        if not self._incoming.deferred or self._told.is_set():
            raise QmpError("GenericError", "The incoming migration has already been started")
        if (path := file_path(uri)) is not None:
            check_head(path)
            self._from = Stored(path)
        else:
            self._from = self._open_door(uri)
        self._told.set()

    def _open_door(self, uri: str) -> socket.socket:
        if is_secure(uri) and self._credentials is None:
            from livemig.link.credentials import SERVER, context

            self._credentials = context(self.tuning.config.migration.tls_dir, SERVER)
        listener, self.uri = listen(uri, insecure=self._incoming.insecure)
        self._sockets.callback(close, listener, self.uri)
        return listener

    async def _restore(self, stored: Stored) -> None:
        self.side.by_file = True
        reader = FileReader(stored)
        await reader.open()
        reader.grant(self.machine.ram.memory, self.machine.ram.watch)
        self.attach(reader)

    def _let_in(self, channel: Channel, hello: Frame) -> None:
        channel.grant(self.machine.ram.memory, self.machine.ram.watch)
        self.attach(channel)
        self.restrict()
        self.heard(hello)

    def restrict(self) -> None:
        """To the RAM of a guest that is ours, the source may write the pages that are missing, each once, and by this
        connection: one that was cut in virtual time is still there."""
        if self._channel is not None and self.side.postcopy is not None:
            missing = self.side.postcopy.missing
            for channel in self._cut_off:
                channel.restrict(np.zeros_like(missing))
            self._channel.restrict(missing.copy())

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
        listener = self._open_door(uri)
        credentials = self._credentials if is_secure(uri) else None
        door = Door(listener, credentials, self._limit_s, self._let_in, self._turned_away, first="recover")
        self._nursery.start_soon(door.serve)

    def _turned_away(self, reason: str) -> None:
        self.notices.tell("X_LIVEMIG_TURNED_AWAY", {"reason": reason})

    def awaits_peer(self) -> bool:
        if self._before is not None:
            return super().awaits_peer()
        if self.clock.virtual or self.side.owner == "source":
            return not self.side.over and self.side.owner == "source" and not self._inbox
        return self.side.status in (Status.POSTCOPY_ACTIVE, Status.POSTCOPY_RECOVER) and not self._inbox

    def watched(self, channel: Channel) -> Sequence[Ear]:
        return channel.ears  # a source gives signs of life on each

    def signs(self, ear: Ear) -> int:
        return ear.signs + ear.signs_of_life  # a guest may run for long between two frames of its source

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
        said: dict[str, Any] = {}
        if side.status is not Status.NONE:
            said["status"] = str(side.status)
        if side.reason:
            said["error-desc"] = side.reason
        if self.uri and not side.over:
            said["socket-address"] = [socket_address(self.uri)]
        if side.postcopy is not None and self.tuning.blocktime:
            said |= side.postcopy.blocktime.figures()
        return said
