"""The source's emulator: boots the guest, and migrates it when it is told where to."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

from livemig.clock.clock import Clock
from livemig.config.model import Config
from livemig.emulator import build
from livemig.emulator.emulator import Emulator, Notice
from livemig.errors import LinkError, LivemigError, QmpError, StreamFileError
from livemig.events.log import EventLog
from livemig.events.schema import SOURCE
from livemig.link.channel import Channel
from livemig.link.opening import open_channel
from livemig.link.stream_file import FileReader, FileWriter, Stored
from livemig.link.uri import file_path, is_secure
from livemig.machine.runstate import RunState
from livemig.migration.destination import Destination
from livemig.migration.source import Source
from livemig.migration.status import Status
from livemig.strategies.table import STRATEGIES
from livemig.timers.ticks import NS_PER_S

if TYPE_CHECKING:
    import ssl


class _Phase(Enum):
    WAITING = "waiting"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    STARTED = "started"


class SourceEmulator(Emulator):
    """Migrates at ``migration.start``, to the URI that ``migrate`` gives.

    In virtual time the clock stands still at that instant until somebody says ``migrate``, and while the peer is
    being reached, so that the log does not depend on when that was.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock,
        log: EventLog,
        watch: Callable[[Notice], None] = lambda notice: None,
        stored: Stored | None = None,
    ) -> None:
        migration = config.migration
        patience_ns = migration.peer_timeout + build.answer_ns(config)
        super().__init__(build.machine(config, SOURCE), clock, log, config.run.duration, watch, patience_ns)
        self.wire = build.link(config, SOURCE)
        parts = (build.host(config, SOURCE), self.wire, build.settings(config), self.emit)
        self.source = Source(self.machine, STRATEGIES[config.migration.strategy], *parts)
        self.side: Source | Destination = self.source
        self._stored = stored
        if stored is not None:
            self.machine.enter(RunState.INMIGRATE)
            self.side = Destination(self.machine, *parts)
            self.side.from_file = True
        self._start_ns, self._timeout_ns = migration.start, migration.connect_timeout
        self._channel_count, self._tls_dir = migration.multifd_channels, migration.tls_dir
        self._alive_every = migration.peer_timeout / NS_PER_S / 4
        self._credentials: ssl.SSLContext | None = None
        self._phase = _Phase.WAITING
        self._uri: str | None = None

    @property
    def restores(self) -> bool:
        """The guest comes from a file."""
        return self._stored is not None

    async def restore(self) -> None:
        """Go on with the guest in the file, instead of :meth:`boot`; a task beside :meth:`run`.

        Raises:
            InputError: it is no stream.
        """
        assert self._stored is not None
        reader = FileReader(self._stored)
        await reader.open()
        reader.grant(self.machine.ram.memory)
        self.attach(reader)

    def boot(self) -> None:
        """The guest starts to run, at t = 0."""
        now = self.clock.now()
        self.machine.boot(now)
        self.emit(now, "machine_resumed", **self.machine.facts(now), ram_digest=None)

    def migrate(self, uri: str) -> None:
        """QMP ``migrate``.

        Raises:
            QmpError: there is one already. UsageError: a malformed URI, or certificates that are no good.
        """
        if self._uri is not None:
            raise QmpError("GenericError", "There's a migration process in progress")
        if file_path(uri) is None and is_secure(uri):
            from livemig.link.credentials import CLIENT, context

            self._credentials = context(self._tls_dir, CLIENT)
        self._uri = uri

    def proceed(self, now: int, state: str) -> None:
        """QMP ``migrate-continue``.

        Raises:
            QmpError: the migration does not wait in ``state``.
        """
        if state != Status.PRE_SWITCHOVER or not self.source.proceed(now):
            raise QmpError("GenericError", f"Migration not in expected state: {self.source.status}")

    def starts(self, now: int) -> int | None:
        if self.side is not self.source:
            return None
        if self._phase is _Phase.CONNECTED:
            return max(self._start_ns, now)
        if self._phase is not _Phase.WAITING or (self._uri is None and now >= self._start_ns):
            return None
        return max(self._start_ns, now)

    def held(self) -> bool:
        if self.side is not self.source:
            return False
        if self._phase is _Phase.WAITING:
            return self._uri is None and self.clock.now() >= self._start_ns
        return self._phase is _Phase.CONNECTING or self.side.status is Status.PRE_SWITCHOVER

    def begin(self, now: int) -> None:
        if self._phase is _Phase.CONNECTED:
            self._phase = _Phase.STARTED
            self.source.start(now, to_file=self._uri is not None and file_path(self._uri) is not None)
        elif self._uri is not None:
            self._phase = _Phase.CONNECTING
            self._nursery.start_soon(self._connect, self._uri)

    async def _connect(self, uri: str) -> None:
        path = file_path(uri)
        channel: Channel
        try:
            if path is not None:
                channel = FileWriter(path, self.machine.ram.memory)
            else:
                channel = await open_channel(
                    uri, self._timeout_ns, self.machine.ram.memory, self._channel_count, self._credentials,
                    self._alive_every,
                )  # fmt: skip
        except LinkError as error:
            self._phase = _Phase.STARTED
            self._lost = error
        else:
            self.attach(channel)
            self.connected()
        self._tell()

    def connected(self) -> None:
        """The peer has been reached, where ``migrate`` said or without it."""
        self._phase = _Phase.CONNECTED

    def fail(self, now: int, error: LivemigError) -> None:
        if isinstance(error, StreamFileError):
            self.source.reclaim()
        super().fail(now, error)

    def conclude(self, now: int) -> None:
        if isinstance(self.side, Destination):
            if self.side.resumed_ns is not None:
                self.side, self._channel = self.source, None
            elif self.side.over:
                self.finish(self.side.reason)
        elif self.side.status is Status.COMPLETED:
            self.finish("migrated")
        elif now >= self.duration_ns:
            if self.side.status is not Status.NONE and not self.side.over:
                reason = "not complete within run.duration"
                if not self.source.cancel(now, reason):
                    self.side.fail(now, f"{reason}, and the destination did not say that it runs the guest")
                self._post()
            self.finish("duration")

    def progress(self) -> dict[str, Any]:
        """``query-migrate``."""
        return self.source.figures(self.clock.now())
