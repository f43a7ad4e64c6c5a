"""A pair in this process, without trio, tasks, sockets or threads: both emulators, stepped in one loop in the order of
virtual time, their frames carried as bytes through memory.

The same emulators as in two processes, and the same bytes in their logs, at a fraction of the cost: what campaigns
and the museum run. Virtual time only; whoever wants real time wants real processes.
"""

from __future__ import annotations

from pathlib import Path

from livemig.clock.clock import VirtualClock
from livemig.config.model import Config
from livemig.emulator import build
from livemig.emulator.destination import DestinationEmulator
from livemig.emulator.emulator import Emulator
from livemig.emulator.source import SourceEmulator
from livemig.errors import PeerLost, ProtocolError
from livemig.events.log import EventLog
from livemig.events.schema import DESTINATION, SOURCE
from livemig.launch.outcome import PairOutcome
from livemig.link.buffers import fill
from livemig.link.channel import Channel, PagesTally
from livemig.link.inbound import Inbound
from livemig.link.outbound import Outbound
from livemig.migration.frames import Frame
from livemig.timers.ticks import NEVER


class Pipe(Channel):
    """One end of a connection; what is posted is with the peer at once."""

    def __init__(self, side: Emulator) -> None:
        memory = side.machine.ram.memory
        self._outbound, self._inbound = Outbound(memory), Inbound(memory)
        self._side = side
        self.peer: Pipe

    @property
    def tally(self) -> PagesTally:
        return self._inbound.tally

    @property
    def signs(self) -> int:
        return self._inbound.whole

    @property
    def signs_of_life(self) -> int:
        return self._inbound.alive

    def grant(self, memory: memoryview) -> None:
        self._inbound.memory = memory

    def post(self, frame: Frame, *, not_before: float | None = None) -> None:
        self.peer.take(memoryview(self._outbound.header(frame)))
        for piece in self._outbound.payload(frame):
            self.peer.take(piece)

    def take(self, data: memoryview) -> None:
        """Bytes from the peer."""
        try:
            self._deliver()
            while data:
                taken = fill(self._inbound.wants, data)
                data = data[taken:]
                self._inbound.received(taken)
                self._deliver()
        except ProtocolError as error:
            self._side.lost(error)

    def _deliver(self) -> None:
        while (frame := self._inbound.next_frame()) is not None:
            self._side.heard(frame)

    async def flush(self) -> None:
        """Nothing waits here."""

    async def receive(self) -> Frame:
        raise NotImplementedError("what arrives is handed over at once")

    async def aclose(self) -> None:
        self._outbound.release()
        self._inbound.release()


def run_in_process(config: Config, directory: Path) -> PairOutcome:
    """Run a pair to the scenario's end; their logs are in ``directory`` then.

    Raises:
        OutputError: they cannot be written.
    """
    logs = [EventLog(directory / f"{side}.jsonl", side) for side in (SOURCE, DESTINATION)]
    try:
        source = SourceEmulator(config, build.clock(config), logs[0])
        destination = DestinationEmulator(config, build.clock(config), logs[1], None)
        _connect(source, destination)
        source.boot()
        source.connected()
        _run(source, destination)
        return _outcome(source, destination)
    finally:
        for log in logs:
            log.close()


def _connect(source: SourceEmulator, destination: DestinationEmulator) -> None:
    ends = [Pipe(side) for side in (source, destination)]
    for side, end, peer in zip((source, destination), ends, reversed(ends), strict=True):
        end.peer = peer
        side.use(end)


def _run(source: SourceEmulator, destination: DestinationEmulator) -> None:
    running: list[Emulator] = [source, destination]
    while running:
        instant, _, side = min((_next(side), rank, side) for rank, side in enumerate(running))
        if instant == NEVER:
            side.finish("quit")  # it waits for what will not come, and is told to end
        else:
            _step(side, instant)
        if side.ended:
            running.remove(side)
            side.close_log()
            for peer in running:
                peer.lost(PeerLost("the wait for a frame"))


def _outcome(source: SourceEmulator, destination: DestinationEmulator) -> PairOutcome:
    if destination.side.owner == DESTINATION:
        return PairOutcome("completed", DESTINATION, "")
    side = source.side
    return PairOutcome(str(side.status), side.owner, side.reason or "no migration was begun")


def _next(side: Emulator) -> int:
    if side.must_act():
        return side.clock.now()
    due = side.next_due()
    return NEVER if due is None else max(due, side.clock.now())


def _step(side: Emulator, instant: int) -> None:
    for cpu in side.machine.cpus:
        side.machine.run_cpu(cpu, instant)
    assert isinstance(side.clock, VirtualClock)
    side.clock.jump_to(instant)
    side.at_barrier(instant)
