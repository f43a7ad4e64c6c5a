"""The source's emulator: boots the guest, and migrates it when it is told where to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

from livemig.clock.clock import Clock
from livemig.config.model import Config
from livemig.emulator import build
from livemig.emulator.duplicate import LET_IN, Answer, say_hello
from livemig.emulator.emulator import Emulator
from livemig.emulator.hops import Hops
from livemig.emulator.notices import Notice
from livemig.emulator.tuning import Tuning
from livemig.errors import LinkError, LivemigError, QmpError, StreamFileError
from livemig.events.log import EventLog
from livemig.events.schema import SOURCE
from livemig.link.channel import Channel
from livemig.link.opening import open_channel
from livemig.link.preempt_channel import AT_ONCE, IN_STEP, NO_PREEMPT
from livemig.link.stream_file import FileReader, FileWriter, Stored
from livemig.link.uri import file_path, is_secure
from livemig.machine.runstate import RunState
from livemig.migration.destination import Destination
from livemig.migration.frames import Frame
from livemig.migration.source import Source
from livemig.migration.status import POSTCOPY, Status
from livemig.timers.ticks import NS_PER_S

if TYPE_CHECKING:
    import ssl


class _Phase(Enum):
    WAITING = "waiting"
    PAUSED = "paused"
    RECONNECTED = "reconnected"
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
        cuts = build.cuts(config)
        super().__init__(build.machine(config, SOURCE), clock, log, config.run.duration, watch, patience_ns, cuts)
        self.lay(config, build.link(config, SOURCE))
        parts = (build.host(config, SOURCE), self.wire, build.settings(config), self.emit)
        self.hops = Hops(config, SOURCE, parts)
        self.source = self.hops.source(self.machine)
        self.side: Source | Destination = self.source
        self._stored = stored
        if stored is not None:
            self.machine.enter(RunState.INMIGRATE)
            self.side = self.hops.destination(self.machine)
            self.side.by_file = True
        self.tuning = Tuning(config)
        self._start_ns, self._timeout_ns = migration.start, migration.connect_timeout
        self._channel_count, self._tls_dir = migration.multifd_channels, migration.tls_dir
        self._preempt = NO_PREEMPT
        self._alive_every = migration.peer_timeout / NS_PER_S / 4
        self._credentials: ssl.SSLContext | None = None
        duplicate = config.fault.duplicate
        self._duplicates = duplicate.count if duplicate.enabled and not clock.virtual else 0
        self._duplicate_ns = duplicate.at
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
        reader.grant(self.machine.ram.memory, self.machine.ram.watch)
        self.attach(reader)

    def boot(self) -> None:
        """The guest starts to run, at t = 0."""
        now = self.clock.now()
        self.machine.boot(now)
        self.emit(now, "machine_resumed", **self.machine.facts(now), ram_digest=None)

    def migrate(self, uri: str, resume: bool = False) -> None:
        """QMP ``migrate``; ``resume``: take up a postcopy whose link broke.

        Raises:
            QmpError: there is one already. UsageError: a malformed URI, or certificates that are no good.
        """
        if resume:
            self._resume(uri)
            return
        if self._uri is not None:
            self._begin_anew()
        to_file, channels = file_path(uri) is not None, self.tuning.config.migration.multifd_channels
        if to_file and channels:
            raise QmpError("GenericError", "Migration requires multi-channel URIs (e.g. tcp)")
        self._channel_count, self._preempt = channels, self._preempt_wanted()
        if not to_file and is_secure(uri):
            from livemig.link.credentials import CLIENT, context

            self._credentials = context(self._tls_dir, CLIENT)
        self._uri = uri

    def _preempt_wanted(self) -> int:
        """Whether there is to be a connection for pages that are asked for, and how it is heard."""
        migration = self.tuning.config.migration
        if not (migration.postcopy_ram and migration.postcopy_preempt):
            return NO_PREEMPT
        return IN_STEP if self.clock.virtual else AT_ONCE

    def _begin_anew(self) -> None:
        """After a migration that came to nothing, another one may be tried."""
        if self.source.status not in (Status.FAILED, Status.CANCELLED):
            raise QmpError("GenericError", "There's a migration process in progress")
        if self.source.owner != "source":
            raise QmpError("GenericError", "The last migration failed after switchover: the guest may run elsewhere")
        self._hang_up()
        self._lost, self._uri = None, None
        self.source = self.side = self.hops.source(self.machine)
        self._phase, self._start_ns = _Phase.WAITING, self.clock.now()

    def again(self) -> None:
        """Another migration, now, after one that came to nothing, to a peer that has been reached."""
        self._begin_anew()
        self.connected()

    def retune(self) -> None:
        super().retune()
        if self.source is not self.side and self._before is None:
            self.source.adjust(self.side.settings)

    def _resume(self, uri: str) -> None:
        if self.source.status is not Status.POSTCOPY_PAUSED:
            raise QmpError("GenericError", "Cannot resume if there is no paused migration")
        is_secure(uri)
        self._uri, self._phase = uri, _Phase.PAUSED

    def start_postcopy(self, now: int) -> None:
        """QMP ``migrate-start-postcopy``.

        Raises:
            QmpError: it was not enabled, or no migration runs.
        """
        if not self.source.settings.postcopy.enabled:
            said = "Enable postcopy with migrate_set_capability before the start of migration"
            raise QmpError("GenericError", said)
        if self.side.status is Status.NONE:
            raise QmpError("GenericError", "Start the migration with the 'migrate' command before trying this")
        self.source.start_postcopy()

    @property
    def _pretends(self) -> bool:
        """Whether further sources are to say hello: the first one has been let in."""
        side = self.side
        return self._duplicates > 0 and side is self.source and side.status in LET_IN

    async def _pretend(self, uri: str, count: int, now: int) -> None:
        hello = Frame("hello", now, now, self.source.hello())
        for _ in range(count):
            told = await say_hello(hello, uri, self._timeout_ns, self._credentials)
            with suppress(QmpError):  # the scenario is over
                await self.perform(partial(self.pretended, told=told))

    def pretended(self, now: int, told: Answer) -> None:
        """A further source was told that."""
        self.emit(now, "second_source", answer=told[0], reason=told[1])

    def starts(self, now: int) -> int | None:
        own = self._starts(now)
        if not self._pretends:
            return own
        return min(own or self._duplicate_ns, max(self._duplicate_ns, now))

    def _starts(self, now: int) -> int | None:
        if self.side is not self.source:
            return None
        if self._phase is _Phase.CONNECTED:
            return max(self._start_ns, now)
        recover_at_ns = self.source.recover_at_ns
        if self._phase in (_Phase.PAUSED, _Phase.RECONNECTED):
            return max(recover_at_ns or now, now)
        if recover_at_ns is not None and recover_at_ns > now:
            return recover_at_ns
        if self._phase is not _Phase.WAITING or (self._uri is None and now >= self._start_ns):
            return None
        return max(self._start_ns, now)

    def held(self) -> bool:
        if self.side is not self.source:
            return False
        if self._phase is _Phase.WAITING:
            return self._uri is None and self.clock.now() >= self._start_ns and self.leash.limit_ns is None
        if self.lacks_link and self.clock.now() >= (self.source.recover_at_ns or 0):
            return True
        waits = self.side.status is Status.PRE_SWITCHOVER and self.leash.limit_ns is None
        return self._phase is _Phase.CONNECTING or waits

    def begin(self, now: int) -> None:
        if self._pretends and self._duplicate_ns <= now:
            self.emit(now, "fault_injected", fault="duplicate", on="")
            assert self._uri is not None
            self._nursery.start_soon(self._pretend, self._uri, self._duplicates, now)
            self._duplicates = 0
            return
        if self._phase is _Phase.RECONNECTED:
            self.source.recover(now)
            self._phase = _Phase.CONNECTED
        if self._phase is _Phase.CONNECTED:
            self._phase = _Phase.STARTED
            if self.source.status is Status.POSTCOPY_RECOVER_SETUP:
                self.source.reconnected(now)
            else:
                self.source.start(now, to_file=self._uri is not None and file_path(self._uri) is not None)
        elif self._uri is not None:
            if self._phase is _Phase.PAUSED:
                self.source.recover(now)
            self._phase = _Phase.CONNECTING
            self._nursery.start_soon(self._connect, self._uri)

    async def _connect(self, uri: str) -> None:
        path, ram = file_path(uri), self.machine.ram
        channel: Channel
        try:
            if path is not None:
                channel = FileWriter(path, ram.memory, ram.watch)
            else:
                channel = await open_channel(
                    uri, self._timeout_ns, ram.memory, self._channel_count, self._credentials, self._alive_every,
                    ram.watch, self._preempt,
                )  # fmt: skip
        except LinkError as error:
            self._phase = _Phase.STARTED
            self._lost = error
        else:
            self.attach(channel)
            self.connected()
        self._tell()

    def reach_for_nobody(self, uri: str) -> None:
        """There is nobody to be reached at ``uri``."""
        self._uri, self._phase = uri, _Phase.CONNECTING

    def connected(self) -> None:
        """The peer has been reached, where ``migrate`` said or without it."""
        self._phase = _Phase.CONNECTED

    def reconnected(self) -> None:
        """The peer has been reached again without ``migrate``, for when its link is to be made anew."""
        self._phase = _Phase.RECONNECTED

    @property
    def lacks_link(self) -> bool:
        """A postcopy waits for its link to be made anew, and it is known when that is."""
        return self._phase is _Phase.STARTED and self.source.recover_at_ns is not None

    def fail(self, now: int, error: LivemigError) -> None:
        if isinstance(error, StreamFileError):
            self.source.reclaim()
        super().fail(now, error)

    def cont(self, now: int) -> None:
        """QMP ``cont``; of a guest that stands here because nobody knows whether its destination has it, too: whoever
        says so knows that it has not."""
        if not self.source.take_back(now):
            super().cont(now)

    def conclude(self, now: int) -> None:
        if isinstance(self.side, Destination):
            if self.side.resumed_ns is not None:
                self.side, self._channel = self.source, None
            elif self.side.over:
                self.finish(self.side.reason)
        elif self.side.status is Status.COMPLETED:
            self.finish("migrated")
        elif now >= self.duration_ns:
            if self.side.status not in (Status.NONE, *POSTCOPY) and not self.side.over:
                reason = "not complete within run.duration"
                if not self.source.cancel(now, reason):
                    self.side.fail(now, f"{reason}, and the destination did not say that it runs the guest")
                self._post()
            self.finish("duration")

    def progress(self) -> dict[str, Any]:
        """``query-migrate``."""
        said = self.source.figures(self.clock.now())
        if not said and self._uri is not None:
            said = {"status": str(Status.SETUP)}
        if "ram" in said and self._channel_count:
            said["ram"]["multifd-bytes"] = self.source.precopy.bytes + self.source.postcopy.bytes
        return said
