"""Run a pair: two processes, driven over QMP, to the end of the scenario."""

from __future__ import annotations

import gc
import signal
import socket
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from livemig.config.model import Config
from livemig.emulator.process import Outcome, run_destination, run_source
from livemig.errors import LinkError, PeerLost, QmpError, plain
from livemig.events.schema import DESTINATION, SOURCE
from livemig.launch.child import Child, turn
from livemig.launch.outcome import PairOutcome, arrived
from livemig.launch.restart import Restart, without_death
from livemig.link.stream_file import Stored
from livemig.link.uri import close, listen
from livemig.migration.status import Status
from livemig.qmp.client import QmpClient, open_qmp

if TYPE_CHECKING:
    import ssl

    from livemig.launch.netns import Network

Progress = Callable[[str, dict[str, Any]], None]
"""Told of every QMP event: side, event."""

Watch = Callable[[Sequence[str]], Awaitable[None]]
Beside = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Attached:
    """Who else wants to see the pair.

    Args:
        sockets: a directory for the sides' QMP sockets, ``source.qmp`` and ``destination.qmp``; None: nobody is to find
            them. watch: a task beside the pair, given those of source and destination.
    """

    sockets: Path | None = None
    watch: Watch | None = None


ALONE = Attached()

STREAM = "migration.stream"
"""In the run directory: what the source wrote, where the transport is a file."""

_CONNECT_NS = 10_000_000_000
_UNUSED = Outcome("none", "", "none")
"""How a process ends that never had its turn."""
_PATIENCE_S = 5
"""How long a side that was told to quit may take."""


@dataclass(slots=True)
class Sided:
    """A side's process, and what it said last."""

    child: Child
    path: Path
    over: trio.Event = field(default_factory=trio.Event)
    """Its part of the scenario is over, or its process has ended."""
    last: dict[str, Any] = field(default_factory=dict)
    """What its last ``query-migrate`` said."""
    finished: bool = False
    """It said that its part is over; its log is whole then."""
    client: QmpClient | None = None
    paused: trio.Event = field(default_factory=trio.Event)
    """It said that its postcopy is paused."""


def run_pair(
    config: Config,
    directory: Path,
    progress: Progress = lambda side, event: None,
    meanwhile: Callable[[], object] = lambda: None,
    network: Network | None = None,
    attached: Attached = ALONE,
) -> PairOutcome:
    """Start both sides, migrate, wait for the end; their logs are in ``directory`` then.

    Not to be called where trio runs, or beside other threads: it forks. ``meanwhile`` is called in a thread while
    the pair runs, when this process has nothing to do. ``network``: over which they talk, by tcp.

    Raises:
        LivemigError: it could not be started.
    """
    with ExitStack() as stack:
        private = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="livemig-")))
        config, credentials = _with_certificates(config, private)
        transport = "tcp" if network else config.migration.transport
        stored = Stored(str(directory / STREAM), awaited=True)
        listener, uri = None, f"file:{stored.path}"
        if transport != "file":
            listener, uri = _listen(transport, private, network, "migrate")
            stack.callback(listener.close)
        epoch_ns = time.monotonic_ns()
        sides: dict[str, Sided] = {}

        def destination(control: Any) -> Any:
            return run_destination(config, directory / "destination.jsonl", listener or stored, control, credentials)

        def source(control: Any) -> Any:
            if listener is not None:
                listener.close()
            return run_source(config, directory / "source.jsonl", None, control)

        gc.freeze()  # what was imported stays: no process need look through it, or copy its pages
        for name, run in ((DESTINATION, destination), (SOURCE, source)):
            place = _control(name, private, attached.sockets, stack)
            sides[name] = _forked(name, place, _within(network, name, run), epoch_ns, stack)
        if listener is not None:
            listener.close()
        restart = _spare(config, directory, private, network, credentials, epoch_ns, stack)
        try:
            mend = Recovery(config, private, transport, _host(network))
            beside = _beside(sides, meanwhile, attached.watch)
            return trio.run(_supervise, sides[SOURCE], sides[DESTINATION], uri, progress, beside, mend, restart)
        except BaseExceptionGroup as group:
            raise plain(group) from group


def _spare(
    config: Config,
    directory: Path,
    private: Path,
    network: Network | None,
    credentials: ssl.SSLContext | None,
    epoch_ns: int,
    stack: ExitStack,
) -> Restart | None:
    """A destination that waits for its turn, with where it will listen, if there is to be one."""
    if not config.fault.restart.enabled:
        return None
    listener, uri = _listen("tcp" if network else config.migration.transport, private, network, "again")
    stack.callback(listener.close)

    def run(control: Any) -> Any:
        if not turn(control):
            return _UNUSED
        log = directory / "destination.jsonl"
        return run_destination(without_death(config), log, listener, control, credentials, again=True)

    qmp = _control("spare", private, None, stack)
    spare = _forked(DESTINATION, qmp, _within(network, DESTINATION, run), epoch_ns, stack)
    return Restart(config, spare, uri)


def _forked(
    side: str, place: tuple[socket.socket, Path], run: Callable[[Any], Any], epoch_ns: int, stack: ExitStack
) -> Sided:
    """``run`` in a process whose QMP server listens at ``place``."""
    sided = Sided(Child(side, place[0], run, epoch_ns), place[1])
    stack.callback(_end, sided.child)
    return sided


def _listen(transport: str, private: Path, network: Network | None, name: str) -> tuple[socket.socket, str]:
    where = f"unix:{private}/{name}" if transport == "unix" else f"{transport}:{_host(network)}:0"
    with network.within(DESTINATION) if network else nullcontext():
        return listen(where, insecure=network is not None)


def _within(network: Network | None, side: str, run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def entered(control: Any) -> Any:
        if network is not None:
            network.enter(side)
        return run(control)

    return entered


def _host(network: Network | None) -> str:
    return "127.0.0.1" if network is None else network.host


def _with_certificates(config: Config, private: Path) -> tuple[Config, ssl.SSLContext | None]:
    """For tls the destination's credentials, and where the source finds its own: made in ``private`` unless given."""
    if config.migration.transport != "tls":
        return config, None
    from livemig.link.credentials import CLIENT, SERVER, context, make

    where = config.migration.tls_dir
    if not where:
        where = str(private / "tls")
        make(where)
    context(where, CLIENT)  # what is wrong with it is said before anything runs
    migration = config.migration.model_copy(update={"tls_dir": where})
    return config.model_copy(update={"migration": migration}), context(where, SERVER)


def _control(name: str, private: Path, sockets: Path | None, stack: ExitStack) -> tuple[socket.socket, Path]:
    """Where the side ``name`` is to serve QMP."""
    path = private / name if sockets is None else sockets / f"{name}.qmp"
    listener, bound = listen(f"unix:{path}")
    if sockets is not None:
        stack.callback(close, listener, bound)
    return listener, path


def _beside(sides: dict[str, Sided], meanwhile: Callable[[], object], watch: Watch | None) -> list[Beside]:
    """What goes on here while the pair runs."""

    async def think() -> None:
        await trio.to_thread.run_sync(meanwhile)

    async def look() -> None:
        if watch is not None:
            await watch([str(sides[name].path) for name in (SOURCE, DESTINATION)])

    return [think, look]


def _end(child: Child) -> None:
    """Whatever happened: no process is left behind."""
    child.let_go()
    if not child.wait(_PATIENCE_S):
        child.kill()
    child.close()


class Recovery:
    """Takes a postcopy up again whose link broke, if the scenario says so."""

    def __init__(self, config: Config, private: Path, transport: str, host: str) -> None:
        self._wanted = config.migration.recover_after > 0
        self._virtual = config.run.clock == "virtual"
        self._transport, self._host, self._private, self._times = transport, host, private, 0

    async def mend(self, source: Sided, destination: Sided) -> None:
        """Whenever both sides say that they are paused: the destination listens, the source connects."""
        while self._wanted:
            for side in (source, destination):
                await side.paused.wait()
                side.paused = trio.Event()
            assert source.client is not None
            assert destination.client is not None
            with suppress(LinkError, QmpError):  # one of them has ended
                await destination.client.execute("migrate-recover", uri=self._where())
                told = (await destination.client.execute("query-migrate"))["socket-address"][0]
                await source.client.execute("migrate", uri=self._uri(told), resume=True)

    def hopeless(self, destination: Sided) -> bool:
        """The source has ended, and the destination's time stands still until it comes back."""
        return self._wanted and self._virtual and destination.last.get("status") == Status.POSTCOPY_PAUSED

    def _where(self) -> str:
        self._times += 1
        unix = f"unix:{self._private}/recover{self._times}"
        return unix if self._transport == "unix" else f"{self._transport}:{self._host}:0"

    def _uri(self, told: dict[str, str]) -> str:
        return f"unix:{told['path']}" if told["type"] == "unix" else f"{self._transport}:{told['host']}:{told['port']}"


async def _supervise(
    source: Sided,
    destination: Sided,
    uri: str,
    progress: Progress,
    beside: Sequence[Beside],
    again: Recovery,
    restart: Restart | None = None,
) -> PairOutcome:
    async with trio.open_nursery() as nursery:
        for task in beside:
            nursery.start_soon(task)
        nursery.start_soon(_drive, source, progress, uri)
        nursery.start_soon(_drive, destination, progress, None)
        nursery.start_soon(again.mend, source, destination)
        if restart is not None:
            nursery.start_soon(_start_again, restart, source, destination, progress)
        await source.over.wait()
        if restart is not None and restart.began and destination.last.get("x-livemig-owner") != DESTINATION:
            destination = restart.spare
        if uri.startswith("file:") and source.last.get("status") == Status.COMPLETED:
            await destination.over.wait()  # which begins to read only now
        if not destination.over.is_set() and (_is_idle(source, destination) or again.hopeless(destination)):
            destination.child.let_go()
        with trio.move_on_after(_PATIENCE_S):
            await destination.over.wait()
        if destination.last.get("x-livemig-owner") == DESTINATION:  # it runs the guest, as long as that takes
            await destination.over.wait()
        nursery.cancel_scope.cancel()
    torn = tuple(side.child.side for side in (source, destination) if not side.finished)
    return replace(_outcome(source, destination), torn=torn)


async def _start_again(restart: Restart, source: Sided, destination: Sided, progress: Progress) -> None:
    if await restart.take_place(source, destination):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_drive, restart.spare, progress, None)
            await restart.migrate_anew(source)


def _is_idle(source: Sided, destination: Sided) -> bool:
    """The destination has no guest, and none will come: it is still waiting for a source."""
    return source.last.get("x-livemig-owner") == SOURCE or destination.last.get("status") is None


async def _drive(side: Sided, progress: Progress, uri: str | None) -> None:
    """Follow one side until its part is over, then tell it to quit."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_watch_process, side)
        try:
            async with open_qmp(side.path, connect_timeout_ns=_CONNECT_NS) as client:
                side.client = client
                if uri is not None:
                    await client.execute("migrate", uri=uri)
                await _follow(side, client, progress)
        except (LinkError, QmpError):
            await side.over.wait()
        side.over.set()
        nursery.cancel_scope.cancel()


async def _follow(side: Sided, client: QmpClient, progress: Progress) -> None:
    async for event in client.events:
        progress(side.child.side, event)
        if event["event"] in ("X_LIVEMIG_MIGRATION", "X_LIVEMIG_ENDED"):
            side.last = await client.execute("query-migrate")
        if event.get("data", {}).get("status") == Status.PRE_SWITCHOVER:
            await client.execute("migrate-continue", state=str(Status.PRE_SWITCHOVER))
        if event.get("data", {}).get("status") == Status.POSTCOPY_PAUSED:
            side.paused.set()
        if event["event"] == "X_LIVEMIG_ENDED":
            side.finished = True
            await client.execute("quit")
            return
    raise PeerLost("its part of the scenario")


async def _watch_process(side: Sided) -> None:
    await side.child.ended()
    side.over.set()


def _outcome(source: Sided, destination: Sided) -> PairOutcome:
    """Who has the guest, from what each side last said of itself, and whether it said so at its end."""
    sends, takes = source, destination
    if max(_hop(source), _hop(destination)) % 2 == 0:
        sends, takes = destination, source
    name = takes.child.side
    if takes.last.get("x-livemig-owner") == name:
        if not takes.finished:
            return PairOutcome("completed", "none", f"the {name}, which had the guest, {_death(takes)}")
        return replace(arrived(takes.last), owner=name)
    if not sends.finished:
        return PairOutcome("failed", "none", f"the {sends.child.side}, which had the guest, {_death(sends)}")
    status, reason = sends.last.get("status", "none"), sends.last.get("error-desc", "")
    return PairOutcome(status, sends.last["x-livemig-owner"], reason or "no migration was begun")


def _hop(side: Sided) -> int:
    """The hop that it last knew of."""
    number: int = side.last.get("x-livemig-hop", 1)
    return number


def _death(side: Sided) -> str:
    code = side.child.exit_code
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    return f"was ended by signal {-code} ({signal.strsignal(-code)})"
