"""A pair without a socket, a process, a thread or trio: the pure machines, stepped by hand in one loop.

It is the third form of the same run (beside two tasks over an in-memory channel and two processes over a socket),
and must write the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from livemig.config.model import Config
from livemig.emulator import build
from livemig.events.log import EventLog
from livemig.events.schema import DESTINATION, SOURCE
from livemig.link.pages import pages_of
from livemig.machine.ram import PAGE
from livemig.migration.destination import Destination
from livemig.migration.encoding import decoded
from livemig.migration.frames import Frame
from livemig.migration.source import Source
from livemig.migration.status import Status
from livemig.strategies.table import STRATEGIES

SECOND = 1_000_000_000


class _Half:
    def __init__(self, config: Config, name: str, directory: Path) -> None:
        self.log = EventLog(directory / f"{name}.jsonl", name)
        self.machine = build.machine(config, name)
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
                self.machine.reset(asked["kind"])

    def end(self, reason: str) -> None:
        self.emit(self.now, "run_ended", reason=reason)
        self.log.close()
        self.ended = True


def run_pure(config: Config, directory: Path) -> tuple[Source, Destination]:
    """Run a migration to its end; the logs are in ``directory``."""
    source, destination = (_Half(config, name, directory) for name in (SOURCE, DESTINATION))
    source.machine.boot(0)
    source.emit(0, "machine_resumed", **source.machine.facts(0), ram_digest=None)
    source.go(config.migration.start)
    source.side.start(source.now)
    while not (source.ended and destination.ended):
        _deliver(source, destination)
        _deliver(destination, source)
        if not source.ended:
            if source.side.status is Status.COMPLETED:
                source.end("migrated")
            elif source.side.over:
                source.go(config.run.duration)
                source.end("duration")
            elif source.side.proceed(source.now) or source.side.asked:
                pass
            elif source.side.due is not None:
                source.go(source.side.due)
                source.side.tick(source.now)
        if destination.side.status in (Status.FAILED, Status.CANCELLED) and not destination.ended:
            destination.end(destination.side.reason or str(destination.side.status))
        elif destination.side.due is not None:
            destination.go(destination.side.due)
            destination.side.tick(destination.now)
        elif destination.side.resumed_ns is not None and not destination.ended:
            destination.go(max(config.run.duration, destination.side.resumed_ns))
            destination.end("duration")
    return source.side, destination.side


def _deliver(sender: _Half, receiver: _Half) -> None:
    frames, sender.side.outbox = sender.side.outbox, []
    for frame in frames:
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
            receiver.side.receive(receiver.now, frame)


def _clear(memory: memoryview, frame: Frame) -> None:
    for first, count in frame.fields["zero"]:
        memory[first * PAGE : (first + count) * PAGE] = bytes(count * PAGE)
