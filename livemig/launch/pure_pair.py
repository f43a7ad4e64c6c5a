"""A pair without a socket, a process, a thread or trio: the pure machines, stepped by hand in one loop.

It is the third form of the same run (beside two tasks over an in-memory channel and two processes over a socket),
and must write the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from livemig.config.model import Config
from livemig.emulator import build
from livemig.emulator.twin import run_twin
from livemig.errors import ProtocolError
from livemig.events.log import EventLog
from livemig.events.schema import DESTINATION, SOURCE
from livemig.launch import run_directory
from livemig.link.pages import pages_of
from livemig.machine.ram import PAGE
from livemig.migration.destination import Destination
from livemig.migration.encoding import decoded
from livemig.migration.frames import Frame
from livemig.migration.source import Source
from livemig.migration.status import Status
from livemig.strategies.table import STRATEGIES

if TYPE_CHECKING:
    from livemig.analysis.result import Result

SECOND = 1_000_000_000


class _Half:
    def __init__(self, config: Config, name: str, directory: Path) -> None:
        self.log = EventLog(directory / f"{name}.jsonl", name)
        self.machine = build.machine(config, name)
        self.side: Source | Destination
        parts = (build.host(config, name), build.link(config, name), build.settings(config), self.emit)
        if name == SOURCE:
            self.side = Source(self.machine, STRATEGIES[config.migration.strategy], *parts)
        else:
            self.side = Destination(self.machine, *parts)
        self.now = 0
        self.ended = False

    def emit(self, t_ns: int, event: str, /, **fields: Any) -> None:
        self.log.block(self.machine.drain(t_ns))
        self.log.event(t_ns, event, **fields)

    def go(self, t_ns: int) -> None:
        """Live to ``t_ns``, with a barrier at least every second as the log demands."""
        while self.now < t_ns:
            reset_ns = self.machine.reset_due_ns()
            self.now = min(self.now + SECOND, t_ns, t_ns if reset_ns is None else reset_ns)
            self.machine.run_to(self.now)
            self.log.block(self.machine.drain(self.now))
            if (asked := self.machine.reset_asked()) is not None:
                self.emit(self.now, "machine_reset", **asked)
                self.machine.reset(str(asked["kind"]))

    def end(self, reason: str) -> None:
        self.emit(self.now, "run_ended", reason=reason)
        self.log.close()
        self.ended = True


def run_pure(config: Config, directory: Path) -> tuple[Source, Destination]:
    """Run a scenario in virtual time to its end, in this process; the logs are in ``directory``.

    Raises:
        LivemigError: it could not be run.
    """
    source, destination = (_Half(config, name, directory) for name in (SOURCE, DESTINATION))
    assert isinstance(source.side, Source)
    assert isinstance(destination.side, Destination)
    source.machine.boot(0)
    source.emit(0, "machine_resumed", **source.machine.facts(0), ram_digest=None)
    source.go(config.migration.start)
    to_file = destination.side.from_file = config.migration.transport == "file"
    source.side.start(source.now, to_file)
    while not (source.ended and destination.ended):
        written = _deliver(source, destination)
        _deliver(destination, source, unheard=to_file)
        if to_file and written is not None:
            source.go(written)
            source.side.receive(written, Frame("bye", written, written))
        if not source.ended:
            _advance_source(source, source.side, config.run.duration)
        if not destination.ended:
            alone = source.ended and not source.side.outbox
            _advance_destination(destination, destination.side, config.run.duration, alone)
    return source.side, destination.side


def _advance_source(half: _Half, side: Source, end_ns: int) -> None:
    if side.status is Status.COMPLETED:
        half.end("migrated")
    elif side.over:
        half.go(end_ns)
        half.end("duration")
    elif side.proceed(half.now) or side.asked:
        pass
    elif side.due is not None and side.due < end_ns:
        half.go(side.due)
        side.tick(half.now)
    else:
        half.go(end_ns)
        reason = "not complete within run.duration"
        if not side.cancel(half.now, reason):
            side.fail(half.now, f"{reason}, and the destination did not say that it runs the guest")


def _advance_destination(half: _Half, side: Destination, end_ns: int, alone: bool) -> None:
    if side.status in (Status.FAILED, Status.CANCELLED):
        half.end(side.reason or str(side.status))
    elif side.due is not None:
        half.go(side.due)
        side.tick(half.now)
    elif side.resumed_ns is not None:
        half.go(max(end_ns, side.resumed_ns))
        half.end("duration")
    elif alone and side.status is Status.NONE:
        half.end("no migration was begun")
    elif alone:
        side.fail(half.now, "the source has gone")


def run_here(config: Config, config_file: str, directory: Path) -> Result:
    """Run a pair in this process and judge it: as ``run_scenario``, but without a fork, a socket or a thread.

    Args:
        directory: is there, and empty.

    Raises:
        LivemigError: it could not be run.
    """
    from livemig.analysis.judge import judge

    manifest = run_directory.manifest(config, config_file)
    source, destination = run_pure(config, directory)
    if config.checks.twin:
        run_twin(config, directory / "twin.jsonl")
    owner = DESTINATION if destination.owner == DESTINATION else source.owner
    manifest["migration"] |= {"status": str(source.status), "owner": owner, "reason": source.reason}
    manifest["complete"] = True
    run_directory.write(directory, manifest)
    return judge(directory)


def _deliver(sender: _Half, receiver: _Half, unheard: bool = False) -> int | None:
    """Hand over what ``sender`` has sent; gives when ``switchover`` arrived, if it was among it."""
    frames, sender.side.outbox = sender.side.outbox, []
    switched = next((frame.arrives_ns for frame in frames if frame.type == "switchover"), None)
    for frame in () if unheard else frames:
        if frame.type == "pages":
            ours, theirs = sender.machine.ram.memory, receiver.machine.ram.memory
            for first, count in frame.fields["runs"]:
                where = slice(first * PAGE, (first + count) * PAGE)
                theirs[where] = ours[where]
            _clear(theirs, frame)
        elif frame.type == "encoded":
            pages = pages_of(frame.fields["runs"])
            words = receiver.machine.ram.words
            words[pages] = decoded(frame.fields, memoryview(frame.payload), words[pages])
            _clear(receiver.machine.ram.memory, frame)
        else:
            while receiver.side.due is not None and receiver.side.due < frame.arrives_ns:
                receiver.go(receiver.side.due)
                receiver.side.tick(receiver.now)
            receiver.go(frame.arrives_ns)
            try:
                receiver.side.receive(receiver.now, frame)
            except ProtocolError as error:
                receiver.side.fail(receiver.now, str(error))
    return switched


def _clear(memory: memoryview, frame: Frame) -> None:
    for first, count in frame.fields["zero"]:
        memory[first * PAGE : (first + count) * PAGE] = bytes(count * PAGE)
