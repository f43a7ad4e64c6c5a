"""A pair without a socket, a process, a thread or trio: the pure machines, stepped by hand in one loop.

It is the third form of the same run (beside the emulators in one process and in two over a socket), and must write the
same bytes: an independent account of what those two do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from heapq import heappop, heappush
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livemig.config.model import Config
from livemig.emulator import build
from livemig.emulator.hops import Hops
from livemig.emulator.roles import give_up
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
from livemig.migration.status import POSTCOPY, Status
from livemig.timers.ticks import NEVER

if TYPE_CHECKING:
    from livemig.analysis.result import Result

SECOND = 1_000_000_000


class _Half(ABC):
    """One side. ``inbox``: what is on its way here: (arrives, number, frame, sender). ``now``: it has lived to it."""

    side: Source | Destination

    def __init__(self, config: Config, name: str, directory: Path) -> None:
        self.log = EventLog(directory / f"{name}.jsonl", name)
        self.machine = build.machine(config, name)
        parts = (build.host(config, name), build.link(config, name), build.settings(config), self.emit)
        self.hops = Hops(config, name, parts)
        self.side = self.hops.source(self.machine) if name == SOURCE else self.hops.destination(self.machine)
        self.inbox: list[tuple[int, int, Frame, _Half]] = []
        self.end_ns = config.run.duration
        self.now = self._put = 0
        self.connected = self.ended = False

    def put(self, frame: Frame, sender: _Half) -> None:
        """``frame`` is on its way here."""
        heappush(self.inbox, (frame.arrives_ns, self._put, frame, sender))
        self._put += 1

    @property
    def next_ns(self) -> int:
        """When something happens here next."""
        return self._soonest_ns

    @property
    def _soonest_ns(self) -> int:
        due = NEVER if self.side.due is None else self.side.due
        return max(min(due, self.inbox[0][0] if self.inbox else NEVER), self.now)

    def step(self) -> None:
        """Live to there, and let it happen."""
        self.go(self.next_ns)
        self.act()

    def act(self) -> None:
        """What has arrived, then what was due."""
        self._act()

    def _act(self) -> None:
        while self.inbox and self.inbox[0][0] <= self.now:
            _, _, frame, sender = heappop(self.inbox)
            if frame.carries_pages:
                _copy(frame, sender, self)
            if frame.type == "hello" and self.hops.number > 1:
                self.end_ns = self.hops.heard(frame)
            try:
                self.side.receive(self.now, frame)
            except ProtocolError as error:
                if not self.side.over:
                    self.side.fail(self.now, str(error))
        while self.side.due is not None and self.side.due <= self.now:
            self.side.tick(self.now)

    @abstractmethod
    def conclude(self) -> None:
        """End it if it is over, in its first hop."""

    def change_roles(self) -> None:
        """If a hop is over and another is to come, this is its side."""
        following = self.hops.after(self.side, self.now)
        if following is not None:
            self.log.block(self.machine.drain(self.now))
            self.side, self.machine, self.end_ns = following, following.machine, self.hops.ends_ns

    # -- from the second hop on -------------------------------------------------------------------------------------

    @property
    def later_ns(self) -> int:
        """:attr:`next_ns` then, whatever the role."""
        side = self.side
        ends = self.end_ns if isinstance(side, Source) or side.resumed_ns is not None else NEVER
        begins = NEVER if self.hops.begins_ns is None else self.hops.begins_ns
        return max(min(self._soonest_ns, begins, ends), self.now)

    def act_later(self) -> None:
        """:meth:`act` then."""
        if isinstance(self.side, Source) and self.hops.begins_ns is not None and self.hops.begins_ns <= self.now:
            self.hops.begin(self.side, self.now)
        self._act()
        if isinstance(self.side, Source):
            self.side.proceed(self.now)

    def conclude_later(self) -> None:
        """:meth:`conclude` then."""
        side = self.side
        if isinstance(side, Destination):
            if side.status in (Status.FAILED, Status.CANCELLED):
                self.end(side.reason or str(side.status))
            elif side.resumed_ns is not None and self.now >= self.end_ns:
                self.end("duration")
        elif side.status is Status.COMPLETED:
            self.end("migrated")
        elif self.now >= self.end_ns:
            give_up(side, self.now)
            self.end("duration")

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


def run_pure(config: Config, directory: Path) -> tuple[Source | Destination, Source | Destination]:
    """Run a scenario in virtual time to its end, in this process; the logs are in ``directory``.

    One loop takes whatever comes next on either side: no promise is needed where one sees both.

    Raises:
        LivemigError: it could not be run.
    """
    source, destination = _SourceHalf(config, directory), _DestinationHalf(config, directory)
    cuts = build.cuts(config)
    source.machine.boot(0)
    source.emit(0, "machine_resumed", **source.machine.facts(0), ram_digest=None)
    while not (source.ended and destination.ended):
        _exchange(source, destination)
        source.change_roles()
        destination.change_roles()
        destination.alone = source.ended and not destination.inbox
        source.conclude()
        destination.conclude()
        halves = [half for half in (source, destination) if not half.ended]
        earliest = min((half.next_ns for half in halves), default=NEVER)
        if cuts and cuts[0] <= earliest and not source.ended:
            _cut(cuts.pop(0), source, destination)
        elif earliest < NEVER:
            min(halves, key=lambda half: half.next_ns).step()
    return source.side, destination.side


class _SourceHalf(_Half):
    side: Source

    def __init__(self, config: Config, directory: Path) -> None:
        super().__init__(config, SOURCE, directory)
        self._start_ns, self._to_file = config.migration.start, config.migration.transport == "file"

    @property
    def next_ns(self) -> int:
        if self.hops.number > 1:
            return self.later_ns
        starts = self._start_ns if self.side.status is Status.NONE else self.side.recover_at_ns
        return min(super().next_ns, self.end_ns, NEVER if starts is None else starts)

    def act(self) -> None:
        if self.hops.number > 1:
            self.act_later()
            return
        if self.side.status is Status.NONE and self._start_ns <= self.now:
            self.connected = True
            self.side.start(self.now, self._to_file)
        recover_ns = self.side.recover_at_ns
        if recover_ns is not None and recover_ns <= self.now:
            self.connected = True
            self.side.recover(self.now)
            self.side.reconnected(self.now)
        super().act()
        self.side.proceed(self.now)

    def conclude(self) -> None:
        if self.hops.number > 1 and not self.ended:
            self.conclude_later()
        side = self.side
        if self.ended or self.hops.number > 1 or (side.status is not Status.COMPLETED and self.now < self.end_ns):
            return
        if side.status not in (Status.NONE, *POSTCOPY) and not side.over:
            reason = "not complete within run.duration"
            if not side.cancel(self.now, reason):
                side.fail(self.now, f"{reason}, and the destination did not say that it runs the guest")
        self.end("migrated" if side.status is Status.COMPLETED else "duration")


class _DestinationHalf(_Half):
    side: Destination

    def __init__(self, config: Config, directory: Path) -> None:
        super().__init__(config, DESTINATION, directory)
        self.alone = False
        self.side.by_file = config.migration.transport == "file"

    @property
    def next_ns(self) -> int:
        if self.hops.number > 1:
            return self.later_ns
        ends = self.end_ns if self.side.resumed_ns is not None else NEVER
        return min(super().next_ns, max(ends, self.now))

    def act(self) -> None:
        if self.hops.number > 1:
            self.act_later()
        else:
            super().act()

    def conclude(self) -> None:
        side = self.side
        if self.ended:
            return
        if self.hops.number > 1:
            self.conclude_later()
        elif side.status in (Status.FAILED, Status.CANCELLED):
            self.end(side.reason or str(side.status))
        elif side.resumed_ns is not None and self.now >= self.end_ns:
            self.end("duration")
        elif self.alone and side.due is None and side.status is Status.NONE:
            self.end("no migration was begun")
        elif self.alone and side.due is None and side.resumed_ns is None:
            side.fail(self.now, "the source has gone")
            if not side.over:
                self.end("quit")


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
    manifest["migration"] |= _outcome(source, destination)
    manifest["complete"] = True
    run_directory.write(directory, manifest)
    return judge(directory)


def _outcome(source: Source | Destination, destination: Source | Destination) -> dict[str, str]:
    """As the launcher of two processes would say it."""
    sends, takes, names = source, destination, (SOURCE, DESTINATION)
    if not isinstance(source, Source):
        sends, takes, names = destination, source, (DESTINATION, SOURCE)
    by_role = {"source": names[0], "destination": names[1]}
    owner = by_role["destination"] if takes.owner == "destination" else by_role.get(sends.owner, "none")
    return {"status": str(sends.status), "owner": owner, "reason": sends.reason}


def _exchange(source: _SourceHalf, destination: _DestinationHalf) -> None:
    both: tuple[tuple[_Half, _Half], ...] = ((source, destination), (destination, source))
    for sender, receiver in both:
        frames, sender.side.outbox = sender.side.outbox, []
        unheard = not sender.connected or (sender is destination and destination.side.by_file)
        for frame in () if unheard else frames:
            if frame.carries_pages and not frame.announced:
                _copy(frame, sender, receiver)  # as it is now, for the guest may write to it
            elif frame.type == "encoded":
                pages, words = pages_of(frame.fields["runs"]), receiver.machine.ram.words
                words[pages] = decoded(frame.fields, memoryview(frame.payload), words[pages])
                _clear(receiver.machine.ram.memory, frame)
            elif frame.type not in ("promise", "bye"):
                receiver.connected = True
                receiver.put(frame, sender)
            if frame.type == "switchover" and destination.side.by_file:
                sender.put(Frame("bye", frame.arrives_ns, frame.arrives_ns), sender)


def _cut(now: int, source: _Half, destination: _Half) -> None:
    for half in (source, destination):
        half.inbox.clear()
        if half.connected:
            half.connected = False
            half.go(now)
            if not half.side.over:
                half.side.fail(now, "the link was cut")


def _copy(frame: Frame, sender: _Half, receiver: _Half) -> None:
    ours, theirs = sender.machine.ram.memory, receiver.machine.ram.memory
    for first, count in frame.fields["runs"]:
        where = slice(first * PAGE, (first + count) * PAGE)
        theirs[where] = ours[where]
    _clear(theirs, frame)


def _clear(memory: memoryview, frame: Frame) -> None:
    for first, count in frame.fields["zero"]:
        memory[first * PAGE : (first + count) * PAGE] = bytes(count * PAGE)
