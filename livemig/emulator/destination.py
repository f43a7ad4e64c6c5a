"""The destination's emulator: waits for a source, and runs the guest when it is its own."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import trio

from livemig.clock.clock import Clock
from livemig.config.model import Config
from livemig.emulator import build
from livemig.emulator.emulator import Emulator, Notice
from livemig.events.log import EventLog
from livemig.events.schema import DESTINATION
from livemig.link.socket_channel import SocketChannel
from livemig.migration.destination import Destination
from livemig.migration.status import Status


class DestinationEmulator(Emulator):
    """Takes the first peer that connects to ``listener``, and no other. Its time begins with the first frame."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        log: EventLog,
        listener: socket.socket,
        watch: Callable[[Notice], None] = lambda notice: None,
    ) -> None:
        super().__init__(build.machine(config, DESTINATION), clock, log, config.run.duration, watch)
        self.side: Destination = Destination(
            self.machine,
            build.host(config, DESTINATION),
            build.link(config, DESTINATION),
            build.settings(config),
            self.emit,
        )
        self._listener = listener

    async def accept(self) -> None:
        """Wait for the source; a task beside :meth:`run`."""
        listening = trio.socket.from_stdlib_socket(self._listener)
        try:
            peer, _ = await listening.accept()
        finally:
            listening.close()
        with_peer = socket.socket(fileno=peer.detach())
        with_peer.setblocking(True)
        self.attach(SocketChannel(with_peer, self.machine.ram.memory))

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
