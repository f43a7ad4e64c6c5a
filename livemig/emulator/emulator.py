"""One emulator process: what makes the pure machines below live.

The main task goes from barrier to barrier. A barrier is the next instant at which anything but the CPUs happens: a
chunk of RAM leaves, a frame arrives, the scenario ends, a second is over and the log is written. Between two of them
every CPU is a task that runs its own timeline; at a barrier, in this order: what the CPUs did is logged, frames that
have arrived are handled in the order of their arrival, then what the migration had due, then the end.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import trio

from livemig.clock.barrier import Barrier
from livemig.clock.clock import Clock
from livemig.config.model import Config
from livemig.emulator.mishaps import Mishaps
from livemig.emulator.notices import Notice
from livemig.emulator.operated import Operated
from livemig.emulator.roles import conclude, owner, progress
from livemig.emulator.timekeeping import timer
from livemig.errors import LinkError, LivemigError, ProtocolError
from livemig.events.log import EventLog
from livemig.link.faults.link import FaultyLink
from livemig.machine.machine import Machine
from livemig.machine.runstate import RunState
from livemig.migration.destination import Destination
from livemig.migration.frames import Frame
from livemig.migration.side import Wire
from livemig.migration.source import Source
from livemig.migration.status import Status
from livemig.timers.ticks import NEVER, NS_PER_S

_LOG_EVERY_NS = 1_000_000_000
_WALL_LOG_EVERY_NS = 50_000_000
_FLUSH_S = 5
_MOST_AHEAD = 16 << 20
"""Bytes of a pass that may wait for the connection to take them."""
_LOOK_NS = 2_000_000
"""How long until it is looked again whether it has."""
_MOST_PUSHED_AHEAD = 2 << 20
_LOOK_AT_PUSHES_NS = 300_000
"""The same in postcopy, where a CPU may have to wait for what stands there."""
_OWN_GUEST = (RunState.RUNNING, RunState.PAUSED, RunState.FINISH_MIGRATE)


class Emulator(Operated):
    """Drives a machine and its side of a migration.

    Args:
        duration_ns: the scenario's end, when whoever runs the guest shuts it down.
        log: closed by the caller. watch, patience_ns, cuts: as in :class:`Operated`.
    """

    def __init__(
        self,
        machine: Machine,
        clock: Clock,
        log: EventLog,
        duration_ns: int,
        watch: Callable[[Notice], None] = lambda notice: None,
        patience_ns: int = 30 * NS_PER_S,
        cuts: Sequence[int] = (),
    ) -> None:
        self.machine, self.clock, self.log, self.duration_ns = machine, clock, log, duration_ns
        self._before: Source | Destination | None = None
        super().__init__(watch, patience_ns, cuts)
        self._barrier = Barrier(len(machine.cpus))
        self._logged_ns = 0
        self._came_ns = clock.now()
        self._log_every_ns = _LOG_EVERY_NS if clock.virtual else _WALL_LOG_EVERY_NS

    def lay(self, config: Config, wire: Wire) -> None:
        """``wire`` is the link as this side sends on it, and what ``config`` has go wrong goes wrong here."""
        self.wire = wire
        self.mishaps = Mishaps(config, self.machine.side, wire, self.clock.virtual)
        if isinstance(wire, FaultyLink):
            wire.tell = self.met

    # -- for others -------------------------------------------------------------------------------------------------

    def emit(self, t_ns: int, event: str, /, **fields: Any) -> None:
        """Log an event, behind all that the CPUs did before it, and tell whoever watches."""
        self._log_cpus(t_ns)
        self.log.event(t_ns, event, **fields)
        self.notices.logged(t_ns, event, fields, self.side)

    def met(self, t_ns: int, fault: str, kind: str) -> None:
        """Log that a fault of the link has met its first frame, one of that ``kind``."""
        self.emit(t_ns, "fault_injected", fault=fault, on=kind)

    def finish(self, reason: str) -> None:
        """The run is over here, at the next barrier."""
        if not self.ended:
            self.ended = reason
        self._tell()

    # -- the run ----------------------------------------------------------------------------------------------------

    async def run(self, *tasks: Callable[[], Any]) -> None:
        """Live until the scenario ends here, beside ``tasks``; the log is complete and flushed then."""
        try:
            async with trio.open_nursery() as self._nursery:
                for index in range(len(self.machine.cpus)) if self.clock.virtual else ():
                    self._nursery.start_soon(self._live, index)
                for task in tasks:
                    self._nursery.start_soon(task)
                if not self.clock.virtual:
                    self._set_alarm_up()
                with self.clock.attend(0):
                    while not self.ended:
                        await self._to_next_barrier()
                ended_ns = max(self._came_ns, self._logged_ns)  # what the CPUs would have done since, nobody has run
                with trio.move_on_after(_FLUSH_S):
                    await self._say_all()
                self._nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                for channel in self._channels:
                    await channel.aclose()
        self.close_log(ended_ns)

    async def _say_all(self) -> None:
        """What was posted is on its way; what went before a cut of the scenario, too, by the connection of then."""
        for channel in (self._channel if self._lost is None else None, *self._cut_off):
            if channel is not None:
                with suppress(LinkError, trio.ClosedResourceError):  # the peer may have all it needs, and be gone
                    await channel.flush()

    def close_log(self, ended_ns: int) -> None:
        """The run has ended here, at ``ended_ns``: the log's last lines."""
        self.leash.release()
        for order in self._take_orders():
            order.carry_out(ended_ns)
        self._log_cpus(ended_ns)
        self.log.event(ended_ns, "run_ended", reason=self.ended)
        self.log.flush()
        if self.ended == "duration" and self.machine.state in (RunState.RUNNING, RunState.PAUSED):
            self.machine.stop(ended_ns, RunState.SHUTDOWN)

    def starts(self, now: int) -> int | None:
        """The next instant, if any, at which this kind of emulator begins something by itself, in its first hop."""
        return None

    def begin(self, now: int) -> None:
        """:meth:`starts` has come."""

    def _begins(self, now: int) -> int | None:
        if self._before is None:
            return self.starts(now)
        begins_ns = self.hops.begins_ns if self.side.status is Status.NONE else None  # the link may have broken since
        return None if begins_ns is None else max(begins_ns, now)

    async def _live(self, index: int) -> None:
        async for until in self._barrier.grants():
            self.machine.run_cpu(self.machine.cpus[index], until)

    async def _to_next_barrier(self) -> None:
        due = self.next_due()
        if self.must_act():
            await trio.lowlevel.checkpoint()
        elif due is None or (self.clock.virtual and self._must_hear(due)):
            await self._news.wait()
        elif self.clock.virtual:
            due = max(due, self.clock.now())
            await self._barrier.run_to(due)
            await self.clock.sleep_until(due)
        else:
            await self._sleep_or_hear(due)
        self._news = trio.Event()
        now = self.clock.now()
        if not self.clock.virtual:
            self._run_by_faults(now)
            now = self.mishaps.strike(self, now)
        self.at_barrier(now)

    def at_barrier(self, now: int) -> None:
        """Do what is due at ``now``, to which every CPU has run."""
        self._came_ns = now
        self.machine.catch_up(now)
        self.leash.come_to(now)
        if (asked := self.machine.reset_asked()) is not None:
            self.reset(now, asked)
        self._act(now)
        if now - self._logged_ns >= self._log_every_ns:
            self._log_cpus(now)
            self.log.flush()

    def _run_by_faults(self, now: int) -> None:
        """The host wakes late: what the guest does meanwhile stops at each missing page that it touches. One CPU after
        the other, not each in its task: somebody waits for a page, and a turn of tasks takes as long as its trip."""
        while (fault := self.machine.next_fault_ns()) is not None and fault < now:
            self.machine.run_to(fault)
            self.side.tick(fault)
        for cpu in self.machine.cpus:
            self.machine.run_cpu(cpu, now)

    def must_act(self) -> bool:
        """Something has happened outside virtual time."""
        return bool(self._orders or self.ended) or self._has_lost()

    def _has_lost(self) -> bool:
        """The connection is at its end, and all that came before it has been handled. Where the peer has come to a cut
        of the scenario, and ended since, it is that cut which ends it here too."""
        return self._lost is not None and not self._inbox and not self._cuts.peer_is_there

    def _must_hear(self, due: int) -> bool:
        """Virtual time must not pass before the peer has answered, nor come to where it may speak of its own accord."""
        if self._lost is not None or self._cuts.peer_is_there:
            return self.is_held()
        horizon = self.side.horizon
        waiting = (self.side.awaits and not self._inbox) or (horizon is not None and due >= horizon)
        return waiting or self.is_held()

    def held(self) -> bool:
        """Virtual time must not pass for another reason, in its first hop."""
        return False

    def is_held(self) -> bool:
        """Virtual time stands still until somebody says something."""
        return self.leash.holds(self.clock.now()) or self._held()

    def _held(self) -> bool:
        return self.held() if self._before is None else self.side.status is Status.PRE_SWITCHOVER

    def next_due(self) -> int | None:
        """The next instant at which anything but the CPUs happens, as far as is known; None: not until it is told."""
        now = self.clock.now()
        due = now + self._look_ns() if self._too_far_ahead() else self.side.due
        instants = [at for at in (due, self._begins(now)) if at is not None]
        if self._inbox:
            instants.append(self._inbox[0][0])
        own_time = self.machine.state in _OWN_GUEST
        if own_time:
            instants += [self.duration_ns, self._logged_ns + self._log_every_ns]
        if self._cuts.next is not None and (own_time or self.side.horizon is not None or self._cuts.peer_is_there):
            instants.append(self._cuts.next)
        if self.leash.limit_ns is not None:
            instants.append(self.leash.limit_ns)
        if (reset := self.machine.reset_due_ns()) is not None:
            instants.append(reset)
        if (strikes := self.mishaps.next_ns) < NEVER:
            instants.append(strikes)
        return min(instants, default=None)

    def _too_far_ahead(self) -> bool:
        """In wall time a pass goes no faster than the connection takes it."""
        if self.clock.virtual or self._channel is None or not isinstance(self.side, Source):
            return False
        most = _MOST_PUSHED_AHEAD if self.side.pushes else _MOST_AHEAD
        return self.side.can_wait and self._channel.ahead > most

    def _look_ns(self) -> int:
        return _LOOK_AT_PUSHES_NS if isinstance(self.side, Source) and self.side.pushes else _LOOK_NS

    def _act(self, now: int) -> None:
        for order in self._take_orders():
            order.carry_out(now)
        if self._cuts.next is not None and self._cuts.next <= now:
            self._cut(now)
        if self._lost is not None and self.side.deserted:
            self._lost = self._channel = None
        if self._lost is not None and self._has_lost():
            lost, self._lost = self._lost, None
            self.say_why(now, lost)
            self._post()
            self.fail(now, lost)
            if isinstance(lost, LinkError):
                self._hang_up()
        while self._inbox and self._inbox[0][0] <= now:
            try:
                frame = heapq.heappop(self._inbox)[2]
                self._room.set()
                self._receive(now, frame)
            except ProtocolError as error:
                self.fail(now, error)
            self._change_roles(now)
        begins = self._begins(now)
        if begins is not None and begins <= now:
            if isinstance(self.side, Source) and self._before is not None:
                self.hops.begin(self.side, now)
            else:
                self.begin(now)
        while self.side.due is not None and self.side.due <= now and not self._too_far_ahead():
            self.side.tick(now)
            if not self.clock.virtual:
                self._post()
                if isinstance(self.side, Source) and self.side.pushes:
                    break  # somebody may have asked for another page meanwhile
        self.side.keep_in_step(now)
        self._post()
        self._change_roles(now)
        if self.side.over:
            self._hearing.cancel()  # whatever the peer has to say
            if not self.clock.virtual and isinstance(self.side, Source) and self.side.status is not Status.COMPLETED:
                self._part()
        if self._before is None:
            self.conclude(now)
        else:
            conclude(self, now)
            self._post()
        self.notices.passes(self.side)

    def fail(self, now: int, error: LivemigError) -> None:
        if not self.side.over:
            self.side.fail(now, str(error))
            if self.side.status is Status.POSTCOPY_PAUSED:
                self._hang_up()
        if self._before is not None and self.side.status is Status.NONE:
            self.finish(f"no further hop: {error}")

    def conclude(self, now: int) -> None:
        """End the run here if it is over, in its first hop."""
        raise NotImplementedError

    def progress(self) -> dict[str, Any]:
        """``query-migrate``, in its first hop."""
        raise NotImplementedError

    @property
    def owner(self) -> str:
        """Who has the guest, as far as is known here: ``source``, ``destination``, by their names, or ``none``."""
        if self._before is None:
            return self.side.owner
        assert isinstance(self.side, Source | Destination)
        return owner(self.side, self.machine.side)

    def told(self) -> dict[str, Any]:
        """``query-migrate``; and, beside QEMU's, who owns the guest as this side knows it, and which hop it is."""
        if self._before is None:
            said = self.progress()
        else:
            assert isinstance(self.side, Source | Destination)
            said = progress(self.side, self._before, self.clock.now())
        timed = timer(self, self.clock.now())
        own = {"timer": timed} if timed is not None else {}
        return {**said, **own, "x-livemig-owner": self.owner, "x-livemig-hop": self.hops.number}

    def _change_roles(self, now: int) -> None:
        """If a hop is over and another is to come, this is its side; over a link that broke none will."""
        side = self.side
        if side.status is not Status.COMPLETED or not isinstance(side, Source | Destination):
            return
        self._post()
        if self._channel is None:
            return
        following = self.hops.after(side, now)
        if following is not None:
            self._channel.grant(following.machine.ram.memory, following.machine.ram.watch)  # none comes before welcome
            self._log_cpus(now)
            self._before, self.side, self.machine = side, following, following.machine
            self.duration_ns = self.hops.ends_ns

    def _receive(self, now: int, frame: Frame) -> None:
        if self._before is not None and frame.type == "hello":
            self.duration_ns = self.hops.heard(frame)
        self.side.receive(now, frame)

    # -- small things -------------------------------------------------------------------------------------------

    def _log_cpus(self, now: int) -> None:
        self.log.block(self.machine.drain(now))
        self._logged_ns = now
