"""What an emulator says to its peer and hears from it: one connection at a time, and when it ends."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress

import trio

from livemig.clock.alarm import Alarm
from livemig.clock.clock import Clock, WallClock
from livemig.emulator.cuts import Cuts
from livemig.emulator.mishaps import Mishaps
from livemig.errors import LinkError, LivemigError, PeerLost, PeerSilent, plain
from livemig.link.channel import Channel, Ear
from livemig.migration.frames import MAX_SNAPSHOT, Frame
from livemig.migration.side import Side
from livemig.timers.ticks import NS_PER_S

_MOST_FRAMES = 64
"""Heard and not handled yet; then the peer has to wait, which its socket makes it do."""

_PARTING_S = 5
"""How long the last words may take."""


class Conversation(ABC):
    """Frames that came wait in ``_inbox`` for the run's clock to show their arrival.

    Args:
        patience_ns: host time for which a peer may be silent while something is due from it. cuts: when the link
            breaks.
    """

    side: Side
    clock: Clock
    _nursery: trio.Nursery

    def __init__(self, patience_ns: int, cuts: Sequence[int]) -> None:
        self._patience_ns = patience_ns
        self._news = trio.Event()
        self._inbox: list[tuple[int, int, Frame]] = []
        self._arrivals = 0
        self._lost: LivemigError | None = None
        self._channel: Channel | None = None
        self._channels: list[Channel] = []
        self._attended: list[Channel] = []
        self._cut_off: list[Channel] = []
        self._hearing = trio.CancelScope()
        self._room = trio.Event()
        self._cuts = Cuts(cuts)
        self._alarm: Alarm | None = None
        """What tells at an instant of wall time; None in virtual time, and where there is none."""
        self.mishaps: Mishaps
        """What the scenario has go wrong here."""

    @abstractmethod
    def fail(self, now: int, error: LivemigError) -> None:
        """The migration cannot go on, or not by this connection."""

    def attach(self, channel: Channel) -> None:
        """Use ``channel`` to talk to the peer, and close it at the end of the run."""
        self.use(channel)
        self._attended.append(channel)
        self._nursery.start_soon(self._attend, channel)

    def use(self, channel: Channel) -> None:
        """Send on ``channel``; what arrives on it somebody else brings (:meth:`heard`, :meth:`lost`)."""
        self._channel = channel
        self._hearing = trio.CancelScope()
        self._channels.append(channel)
        self.mishaps.use(channel)

    def _hang_up(self) -> None:
        """This connection is not used any more."""
        channel, self._channel = self._channel, None
        if channel in self._attended:
            self._nursery.start_soon(channel.aclose)

    def _part(self) -> None:
        """Nothing more is to be said: the peer is told by the end of the connection, behind all that was said."""
        channel, self._channel = self._channel, None

        async def part(channel: Channel) -> None:
            with trio.move_on_after(_PARTING_S), suppress(LinkError, trio.ClosedResourceError):
                await channel.flush()
            await channel.aclose()

        if channel in self._attended:
            assert channel is not None
            self._nursery.start_soon(part, channel)

    def _cut(self, now: int) -> None:
        """The link breaks: what has not arrived is lost. In virtual time the peer must come there too before it is so:
        it is told, and the connection stays, unused."""
        self._cuts.pass_by()
        channel, self._channel = self._channel, None
        if channel is None:
            return
        self._inbox.clear()
        self._room.set()
        self._lost = None
        if self.clock.virtual:
            self._cut_off.append(channel)
            with suppress(PeerLost):
                channel.post(Frame("bye", now, now))
        else:
            self._nursery.start_soon(channel.aclose)
        self.fail(now, LinkError("the link was cut"))

    def break_link(self, now: int, error: LinkError) -> None:
        """This side loses its connection, at once; the other learns of it."""
        channel = self._channel
        if channel is not None:
            self._hang_up()
            self._inbox.clear()
            self._room.set()
            self.fail(now, error)

    def awaits_peer(self) -> bool:
        """Something is due from the peer before this side can go on."""
        return self.side.awaits and not self._inbox

    def watched(self, channel: Channel) -> Sequence[Ear]:
        """That on which the peer is missed, each by itself."""
        return (channel,)

    def signs(self, ear: Ear) -> int:
        """What changes as long as the peer does what it owes."""
        return ear.signs

    def say_why(self, now: int, error: LivemigError) -> None:  # noqa: B027
        """Tell the peer of ``error`` in what it sent, if that is for this side to do."""

    async def _attend(self, channel: Channel) -> None:
        """Listen to the peer, and wait for it no longer than it deserves."""
        try:
            with self._hearing:
                async with trio.open_nursery() as nursery:
                    for ear in channel.ears:
                        nursery.start_soon(self._listen, channel, ear)
                    for watched in self.watched(channel):
                        nursery.start_soon(self._lose_patience, watched)
        except* trio.ClosedResourceError:
            pass  # this side has hung up
        except* LivemigError as group:
            error = plain(group)
            assert isinstance(error, LivemigError)
            if channel is self._channel:
                self.lost(error)

    def lost(self, error: LivemigError) -> None:
        """The connection is at its end."""
        self.mishaps.lost(self.clock.now())
        self._lost = error
        self._tell()

    async def _listen(self, channel: Channel, ear: Ear) -> None:
        while True:
            frame = await ear.receive()
            if channel is self._channel and self.mishaps.hears(channel):
                self.heard(frame)
            while len(self._inbox) >= _MOST_FRAMES or self._waiting_bytes() > MAX_SNAPSHOT:
                self._room = trio.Event()
                await self._room.wait()

    async def _lose_patience(self, ear: Ear) -> None:
        """Raises PeerSilent when there was no sign of the peer for too long while it was waited for. Time in which this
        process was itself stopped does not count."""
        patience = self._patience_ns / NS_PER_S
        step = patience / 8
        signs, since = self.signs(ear), trio.current_time()
        while True:
            looked = trio.current_time()
            await trio.sleep(step)
            since += max(trio.current_time() - looked - 2 * step, 0)
            if self.signs(ear) != signs or not self.awaits_peer():
                signs, since = self.signs(ear), trio.current_time()
            elif trio.current_time() - since >= patience:
                raise PeerSilent(self._patience_ns)

    def forget_after(self, now: int) -> None:
        """What has not arrived by ``now`` never will."""
        self._inbox = [entry for entry in self._inbox if entry[0] <= now]
        heapq.heapify(self._inbox)

    def heard(self, frame: Frame) -> None:
        """``frame`` has come, and is handled when the run's clock shows its arrival."""
        if frame.type == "bye" and self._cuts.next is not None and frame.sent_ns >= self._cuts.next:
            self._cuts.peer_is_there = True
        elif self.side.hear(frame):
            arrives = frame.arrives_ns if self.clock.virtual else self.clock.now()
            heapq.heappush(self._inbox, (arrives, self._arrivals, frame))
            self._arrivals += 1
        self._tell()

    def _waiting_bytes(self) -> int:
        return sum(len(frame.payload) for _, _, frame in self._inbox)

    def _post(self) -> None:
        frames, self.side.outbox = self.side.outbox, []
        if self._channel is None:
            return
        for frame in frames:
            try:
                if isinstance(self.clock, WallClock):
                    self.mishaps.send(self._channel, frame, self.clock)
                else:
                    self._channel.post(frame)
            except LinkError:
                return  # whoever listens will hear of it, after what the peer may have said of the reason

    async def _sleep_or_hear(self, due: int) -> None:
        """Until the run's clock shows ``due``, or something is told."""
        if self._alarm is not None:
            assert isinstance(self.clock, WallClock)
            self._alarm.set(self.clock.host_ns(due))
            await self._news.wait()
            return
        async with trio.open_nursery() as nursery:

            async def hear() -> None:
                await self._news.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(hear)
            await self.clock.sleep_until(due)
            nursery.cancel_scope.cancel()

    def _set_alarm_up(self) -> None:
        """So that this wakes when it is time, not up to a millisecond later."""
        with suppress(OSError):
            self._alarm = Alarm()
            self._nursery.start_soon(self._alarm.ring, self._tell)

    def _tell(self) -> None:
        self._news.set()
