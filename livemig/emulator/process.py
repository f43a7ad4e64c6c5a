"""A side as a process: what ``livemig source`` and ``livemig destination`` run, and ``livemig run`` forks."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from livemig.config.model import Config
from livemig.emulator import build
from livemig.emulator.commands import commands
from livemig.emulator.destination import NOWHERE, DestinationEmulator, Incoming
from livemig.emulator.emulator import Emulator
from livemig.emulator.notices import Notice
from livemig.emulator.source import SourceEmulator
from livemig.errors import plain
from livemig.events.log import EventLog
from livemig.events.schema import DESTINATION, SOURCE
from livemig.link.stream_file import Stored
from livemig.migration.status import Status
from livemig.qmp.server import QmpServer

if TYPE_CHECKING:
    import ssl

GIL_TURN_S = 0.0005
"""How long a thread that moves bulk data may wait for the interpreter while another computes."""

INTERRUPTED = 130
"""Exit code after SIGINT or SIGTERM, as shells have it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a side ended. ``owner``: of the guest, as this side knows it."""

    status: str
    reason: str
    owner: str
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """0, 3 where the migration did not complete, 130 where it was interrupted."""
        if self.interrupted:
            return INTERRUPTED
        return 0 if self.status == Status.COMPLETED else 3


@dataclass(frozen=True, slots=True)
class Control:
    """How a side is controlled from outside.

    Args:
        qmp: a listening socket to serve QMP on; then the process stays until it is told to ``quit``.
        lifeline: a socket whose end means that whoever started this process is gone.
        notice: told of every event, beside QMP's clients.
        epoch_ns: ``time.monotonic_ns()`` at t = 0 of a wall clock that both sides share.
    """

    qmp: socket.socket | None = None
    lifeline: socket.socket | None = None
    notice: Callable[[Notice], None] = lambda notice: None
    epoch_ns: int | None = None


def run_source(
    config: Config, log: Path, uri: str | None, control: Control, stored: Stored | None = None
) -> Outcome:
    """Run the source until its part is over; with ``uri`` it migrates there, else it waits for QMP ``migrate``.

    Args:
        stored: the guest goes on from there; None: it boots.

    Raises:
        LivemigError: it could not start, or could not write its log.
    """

    def make(events: EventLog, watch: Callable[[Notice], None]) -> SourceEmulator:
        emulator = SourceEmulator(config, build.clock(config, control.epoch_ns), events, watch, stored)
        if stored is None:
            emulator.boot()
        if uri is not None:
            emulator.migrate(uri)
        return emulator

    return trio.run(_run, SOURCE, log, make, control)


def run_destination(
    config: Config,
    log: Path,
    listener: socket.socket | Stored | None,
    control: Control,
    credentials: ssl.SSLContext | None = None,
    incoming: Incoming = NOWHERE,
    again: bool = False,
) -> Outcome:
    """Run the destination, for the first source that says hello at ``listener``, or from a file, or when it is told to.

    Args:
        credentials: for TLS. incoming: what is known of where the source comes to.
        again: it takes the place of one that died, and goes on with its log.

    Raises:
        LivemigError: it could not start, or could not write its log.
    """

    def make(events: EventLog, watch: Callable[[Notice], None]) -> DestinationEmulator:
        clock = build.clock(config, control.epoch_ns)
        born_ns = clock.now() if again else 0
        emulator = DestinationEmulator(config, clock, events, listener, watch, credentials, incoming, born_ns)
        if again:
            emulator.emit(born_ns, "fault_injected", fault="restart", on="")
        return emulator

    return trio.run(_run, DESTINATION, log, make, control, again)


async def _run(
    side: str,
    path: Path,
    make: Callable[[EventLog, Callable[[Notice], None]], SourceEmulator | DestinationEmulator],
    control: Control,
    again: bool = False,
) -> Outcome:
    sys.setswitchinterval(GIL_TURN_S)
    log = EventLog(path, side, path.open("ab") if again else None)
    servers: list[QmpServer] = []

    def watch(notice: Notice) -> None:
        control.notice(notice)
        for server in servers:
            server.event(notice.event, notice.data)

    interrupted = False
    try:
        emulator = make(log, watch)
        quit_ = trio.Event()

        async def stop_on_signal() -> None:
            nonlocal interrupted
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for _ in signals:
                    interrupted = True
                    emulator.finish("interrupted")
                    quit_.set()

        async with trio.open_nursery() as nursery:
            if control.lifeline is not None:
                nursery.start_soon(_hold, control.lifeline, emulator, quit_)
            else:
                nursery.start_soon(stop_on_signal)
            if control.qmp is not None:
                servers.append(QmpServer(commands(emulator, lambda: _quit(emulator, quit_))))
                listener = trio.SocketListener(trio.socket.from_stdlib_socket(control.qmp))
                nursery.start_soon(servers[0].serve, listener)
            await emulator.run(*_tasks(emulator))
            emulator.notices.ended(emulator.ended, emulator.machine.state, emulator.told())
            if control.qmp is not None:
                await servers[0].flush()
                await quit_.wait()
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise plain(group) from group
    finally:
        log.close()
    return Outcome(str(emulator.side.status), emulator.side.reason, emulator.owner, interrupted)


def _tasks(emulator: SourceEmulator | DestinationEmulator) -> list[Callable[[], Any]]:
    if isinstance(emulator, DestinationEmulator):
        return [emulator.accept]
    return [emulator.restore] if emulator.restores else []


def _quit(emulator: Emulator, quit_: trio.Event) -> None:
    emulator.finish("quit")
    quit_.set()


async def _hold(lifeline: socket.socket, emulator: Emulator, quit_: trio.Event) -> None:
    """Wait until whoever holds the other end of ``lifeline`` is gone; without them this process has no purpose."""
    line = trio.socket.from_stdlib_socket(lifeline)
    try:
        await line.recv(1)
    except OSError:
        pass
    _quit(emulator, quit_)
