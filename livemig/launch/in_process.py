"""A pair in this process, without trio, tasks, sockets or threads: both emulators, stepped in one loop in the order of
virtual time, their frames carried as bytes through memory.

The same emulators as in two processes, and the same bytes in their logs, at a fraction of the cost: what campaigns
run, and every scenario with faults in virtual time. Where both sides are in one loop, a link that swallows frames or
a side that dies needs no agreement about time. Whoever wants real time wants real processes.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

from livemig.clock.clock import VirtualClock
from livemig.config.model import Config
from livemig.emulator import build
from livemig.emulator.destination import DestinationEmulator
from livemig.emulator.duplicate import LET_IN, Answer, hello_at
from livemig.emulator.emulator import Emulator
from livemig.emulator.host_faults import Standstill, clocks, go_on, kill_ns, stand, standstills
from livemig.emulator.source import SourceEmulator
from livemig.errors import ConnectTimeout, LivemigError, PeerLost, PeerSilent, ProtocolError
from livemig.events.entries import Entries
from livemig.events.kept import KeptLog
from livemig.events.log import EventLog
from livemig.events.schema import DESTINATION, SOURCE
from livemig.launch.memory_pipe import Pipe
from livemig.launch.outcome import PairOutcome, arrived
from livemig.link.faults.link import FaultyLink
from livemig.migration.frames import Frame
from livemig.migration.source import Source
from livemig.migration.status import Status
from livemig.timers.ticks import NEVER

_NOBODY = "the destination"
_LOOK_NS = 1_000_000
"""How often it is looked whether the source has been let in."""
_GONE = "the wait for a frame"


def run_in_process(config: Config, directory: Path) -> PairOutcome:
    """Run a pair to the scenario's end; their logs are in ``directory`` then.

    Raises:
        OutputError: they cannot be written.
    """
    logs = [EventLog(directory / f"{side}.jsonl", side) for side in (SOURCE, DESTINATION)]
    try:
        return _run(config, *logs)
    finally:
        for log in logs:
            log.close()


def run_kept(config: Config) -> tuple[PairOutcome, dict[str, Entries]]:
    """The same without a file: the logs, by the names that they have in a run directory, as what they are before
    anybody reads them."""
    logs = [KeptLog(side) for side in (SOURCE, DESTINATION)]
    outcome = _run(config, *logs)
    return outcome, {log.path.name: log.entries for log in logs}


def run_in_memory(config: Config) -> tuple[PairOutcome, dict[str, bytes]]:
    """:func:`run_kept`, the logs as text."""
    outcome, logs = run_kept(config)
    return outcome, {name: entries.text() for name, entries in logs.items()}


def _run(config: Config, ours: EventLog, theirs: EventLog) -> PairOutcome:
    source = SourceEmulator(config, build.clock(config), ours)
    destination = DestinationEmulator(config, build.clock(config), theirs, None)
    return _Pair(config, source, destination).run()


class _Pair:
    """Both sides, and what is to happen to them from outside."""

    def __init__(self, config: Config, source: SourceEmulator, destination: DestinationEmulator) -> None:
        self._config, self._source, self._destination = config, source, destination
        self._running: list[Emulator] = [source, destination]
        self._events: list[tuple[int, int, Callable[[int], None]]] = []
        self._order = count()
        self._frozen: dict[Emulator, int] = {}
        self._silent: dict[Emulator, tuple[int, int]] = {}
        """Of a side that awaits its peer: the signs that it had of it, and since when there were no more."""
        self._killed: list[Emulator] = []
        self._connected = True
        self._pipes = self._connect()
        self._standstills = {side: standstills(config.fault, side.machine.side) for side in self._running}
        self._mentioned: set[tuple[Emulator, str]] = set()
        self._destination.gate.admit(Frame("hello", 0, 0))
        self._plan()

    def _connect(self) -> list[Pipe]:
        pipes = [Pipe(side, self._damaged) for side in self._running]
        for side, pipe, peer in zip(self._running, pipes, reversed(pipes), strict=True):
            pipe.peer = peer
            side.use(pipe)
        return pipes

    def _plan(self) -> None:
        """The faults of hosts, which are known from the start."""
        fault = self._config.fault
        for side in self._running:
            name = side.machine.side
            self._plan_standstill(side)
            if (killed := kill_ns(fault, name)) < NEVER:
                self._at(killed, partial(self._kill, side))
            for at, clock in clocks(fault, name):
                self._at(at, partial(self._mention, side, clock))

        if fault.duplicate.enabled:
            self._at(fault.duplicate.at, self._duplicate)

    def _duplicate(self, now: int) -> None:
        """Further sources say hello, as soon as the first one has been let in."""
        source = self._source
        if source not in self._running or source.side.over:
            return
        if source.side.status not in LET_IN:
            self._at(now + _LOOK_NS, self._duplicate)
            return
        self._live(source, now)
        source.emit(now, "fault_injected", fault="duplicate", on="")
        link = self._config.link
        trip = link.latency + (link.return_latency or link.latency)
        for number in range(1, self._config.fault.duplicate.count + 1):
            hello = Frame("hello", now, now + link.latency, source.source.hello())
            told = hello_at(self._destination.gate, hello)
            self._at(now + number * trip, partial(self._pretended, told=told))

    def _pretended(self, now: int, told: Answer) -> None:
        if self._source in self._running:
            self._live(self._source, now)
            self._source.pretended(now, told)

    def _plan_standstill(self, side: Emulator) -> None:
        if (each := next(self._standstills[side], None)) is not None:
            self._at(each.begin_ns, partial(self._stand, side, standstill=each))

    def run(self) -> PairOutcome:
        """To the end."""
        self._source.boot()
        self._source.connected()
        while self._running:
            self._mend()
            instant, last = min((self._next(side), -rank) for rank, side in enumerate(self._running))
            rank = -last
            cut = self._cut_ns()
            event = self._events[0][0] if self._events else NEVER
            if cut <= min(instant, event) and cut < NEVER:
                self._cut(cut)
            elif event <= instant and event < NEVER:
                heapq.heappop(self._events)[2](event)
            elif instant == NEVER:
                self._running[rank].finish("quit")  # it waits for what will not come, and is told to end
                self._end(self._running[rank])
            else:
                self._step(self._running[rank], instant)
                self._end(self._running[rank])
        return self._outcome()

    def _mend(self) -> None:
        """A postcopy that both sides have paused gets another connection, if the scenario has it taken up again."""
        paused = self._source.lacks_link and self._destination.side.status is Status.POSTCOPY_PAUSED
        if paused and len(self._running) == 2:
            self._pipes = self._connect()
            self._connected = True
            self._source.reconnected()
            self._destination.restrict()

    # -- one side ---------------------------------------------------------------------------------------------------

    def _next(self, side: Emulator) -> int:
        """When it acts next, by itself, or because it has heard nothing for too long."""
        if side.must_act():
            due = side.clock.now()
        else:
            due = NEVER if (known := side.next_due()) is None else max(known, side.clock.now())
        return max(min(due, self._patience_ends(side)), self._frozen.get(side, 0))

    def _patience_ends(self, side: Emulator) -> int:
        if not self._connected or not side.awaits_peer() or self._gives_signs(side):
            self._silent.pop(side, None)
            return NEVER
        signs = side.signs(self._pipes[side is self._destination])
        known = self._silent.get(side)
        if known is None or known[0] != signs:
            known = self._silent[side] = signs, max(side.clock.now() for side in self._running)
        return known[1] + self._config.migration.peer_timeout

    def _gives_signs(self, side: Emulator) -> bool:
        """Whether the peer says that it lives when it has nothing else to say, as a source does, and is heard."""
        source = self._source
        if side is source or source not in self._running or source in self._frozen:
            return False
        link = self._pipes[0].link
        return not (isinstance(link, FaultyLink) and link.swallows)

    def _step(self, side: Emulator, instant: int) -> None:
        """Live to ``instant``, and do what is due there."""
        if instant >= self._patience_ends(side):
            self._hang_up(side, instant)
            side.lost(PeerSilent(self._config.migration.peer_timeout))
        self._live(side, instant)
        side.at_barrier(instant)

    def _live(self, side: Emulator, instant: int) -> None:
        for cpu in side.machine.cpus:
            side.machine.run_cpu(cpu, instant)
        assert isinstance(side.clock, VirtualClock)
        side.clock.jump_to(instant)

    def _end(self, side: Emulator) -> None:
        """If the run is over there: its peer hears no more of it."""
        if not side.ended:
            return
        self._running.remove(side)
        side.close_log(side.clock.now())
        if self._connected:
            self._connected = False
            for peer in self._running:
                peer.lost(PeerLost(_GONE))

    def _hang_up(self, side: Emulator, now: int) -> None:
        """``side`` is there no more, for its peer."""
        self._connected = False
        for peer in self._running:
            if peer is not side:
                self._at(now + self._config.link.latency, partial(self._lose, peer, error=PeerLost(_GONE)))

    # -- what happens to them ---------------------------------------------------------------------------------------

    def _at(self, instant: int, action: Callable[[int], None]) -> None:
        heapq.heappush(self._events, (instant, next(self._order), action))

    def _mention(self, side: Emulator, name: str, now: int) -> None:
        """That the fault ``name`` of its host acts, once."""
        if side in self._running and (side, name) not in self._mentioned:
            self._mentioned.add((side, name))
            self._live(side, now)
            side.emit(now, "fault_injected", fault=name, on="")

    def _cut_ns(self) -> int:
        """When the connection is lost, if it still stands; not before the migration has made it."""
        cuts = [pipe.link.cut_ns for pipe in self._pipes if isinstance(pipe.link, FaultyLink)]
        cut = min(cuts, default=NEVER)
        return max(cut, self._config.migration.start + 1) if self._connected and cut < NEVER else NEVER

    def _cut(self, now: int) -> None:
        """Both sides are told; what was on its way is lost."""
        self._connected = False
        lost_ns = self._lost_ns()
        for side, pipe in zip((self._source, self._destination), self._pipes, strict=True):
            if isinstance(pipe.link, FaultyLink):
                if side in self._running and pipe.link.lost_ns == lost_ns:
                    self._live(side, now)
                    pipe.link.tell_once(now, pipe.link.cause)
                pipe.link.mend(now)
            if side in self._running:
                side.forget_after(lost_ns)
                self._lose(side, now, PeerLost(_GONE))

    def _lost_ns(self) -> int:
        return min((pipe.link.lost_ns for pipe in self._pipes if isinstance(pipe.link, FaultyLink)), default=NEVER)

    def _damaged(self, side: Emulator, at_ns: int, error: ProtocolError) -> None:
        """``side`` is to find out when what is damaged arrives there."""
        self._at(at_ns, partial(self._lose, side, error=error))

    def _lose(self, side: Emulator, now: int, error: LivemigError) -> None:
        if (until := self._frozen.get(side, 0)) > now:
            self._at(until, partial(self._lose, side, error=error))
        elif side in self._running:
            self._live(side, now)
            side.lost(error)
            side.at_barrier(now)
            self._end(side)

    def _stand(self, side: Emulator, now: int, standstill: Standstill) -> None:
        """It does nothing till then; its CPUs stand, their timers do not."""
        if side not in self._running:
            return
        self._mention(side, standstill.fault, now)
        self._live(side, now)
        stand(side, now, standstill.fault)
        self._frozen[side] = standstill.end_ns
        self._at(standstill.end_ns, partial(self._go_on, side, standstill=standstill))

    def _go_on(self, side: Emulator, now: int, standstill: Standstill) -> None:
        del self._frozen[side]
        if side in self._running:
            self._live(side, now)
            go_on(side, now, standstill.fault, now - standstill.begin_ns)
            if side.machine.reset_asked() is not None:  # a watchdog ran out meanwhile
                side.at_barrier(now)
            self._plan_standstill(side)

    def _kill(self, side: Emulator, now: int) -> None:
        """Its log breaks off; its peer notices as soon as it could."""
        if side not in self._running:
            return
        migration = self._config.migration
        self._live(side, now)
        self._mention(side, "kill", now)
        side.log.flush()
        self._running.remove(side)
        self._killed.append(side)
        if side is self._destination and self._source.side.status is Status.NONE and now <= migration.start:
            self._connected = False
            self._source.reach_for_nobody(_NOBODY)
            gone = ConnectTimeout(_NOBODY, migration.connect_timeout)
            self._at(migration.start + migration.connect_timeout, partial(self._lose, self._source, error=gone))
        elif self._connected:
            self._hang_up(side, now)
        if side is self._destination and self._config.fault.restart.enabled:
            self._at(now + self._config.fault.restart.after, self._restart)

    def _restart(self, now: int) -> None:
        """Another destination, in the place of the one that died."""
        clock, dead = VirtualClock(now), self._destination
        self._destination = DestinationEmulator(self._config, clock, dead.log, None, born_ns=now)
        self._destination.emit(now, "fault_injected", fault="restart", on="")
        self._running.append(self._destination)
        self._again(now)

    def _again(self, now: int) -> None:
        """The source migrates anew, as soon as it knows that it must; if it still has the guest."""
        source = self._source
        if source not in self._running or source.owner != SOURCE:
            return
        if source.side.status not in (Status.FAILED, Status.CANCELLED):
            self._at(now + _LOOK_NS, self._again)
            return
        self._live(source, now)
        self._live(self._destination, now)
        if isinstance(source.wire, FaultyLink):
            source.wire.mend(now)
        source.again()
        self._pipes = self._connect()
        self._connected = True
        self._destination.gate.admit(Frame("hello", now, now))

    def _after_hops(self, torn: tuple[str, ...]) -> PairOutcome:
        """How the last hop that was begun ended, and who has the guest; each side plays another role by then."""
        sides: dict[str, Emulator] = {SOURCE: self._source, DESTINATION: self._destination}
        sends = next((side for side in sides.values() if isinstance(side.side, Source)), self._source)
        takes = self._destination if sends is self._source else self._source
        owner = takes.owner if takes.side.owner == DESTINATION else sends.owner
        if sides.get(owner) in self._killed:
            return PairOutcome(str(sends.side.status), "none", f"the {owner}, which had the guest, was killed", torn)
        return PairOutcome(str(sends.side.status), owner, sends.side.reason, torn)

    def _outcome(self) -> PairOutcome:
        source, destination = self._source, self._destination
        torn = tuple(name for name, side in ((SOURCE, source), (DESTINATION, destination)) if side in self._killed)
        if max(source.hops.number, destination.hops.number) > 1:
            return self._after_hops(torn)
        if any(side is not source and side.side.owner == DESTINATION for side in self._killed):
            return PairOutcome("completed", "none", "the destination, which had the guest, was killed", torn)
        if destination.side.owner == DESTINATION:
            return replace(arrived(destination.progress()), torn=torn)
        if source in self._killed:
            return PairOutcome("failed", "none", "the source, which had the guest, was killed", torn)
        side = source.side
        status = source.told().get("status", "none")  # while nobody is reached it is setup already
        outcome = PairOutcome(status, side.owner, side.reason or "no migration was begun")
        return replace(outcome, torn=torn)
