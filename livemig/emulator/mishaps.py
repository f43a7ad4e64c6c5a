"""What ``[fault]`` does to one side in wall time, for real: to its frames, to its connection, to its process.

The arithmetic is that of virtual time (``livemig.link.faults``): when a frame arrives, its sender holds it back till
then; slices leave as slices, damage is damage, a reset is a RST. In virtual time, where both sides are in one process,
``livemig.launch.in_process`` does all this.
"""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

from livemig.clock.clock import Clock, WallClock
from livemig.config.model import Config
from livemig.emulator.host_faults import Standstill, clocks, go_on, kill_ns, stand, standstills
from livemig.emulator.sigstop import stop_for
from livemig.link.channel import Breakable, Channel
from livemig.link.faults.link import FaultyLink
from livemig.migration.frames import Frame
from livemig.migration.side import Wire
from livemig.timers.ticks import NEVER

if TYPE_CHECKING:
    from livemig.emulator.emulator import Emulator

_RESETS = "reset_peer"


class Mishaps:
    """Those of ``side``, whose link is ``wire``; none of them in virtual time."""

    def __init__(self, config: Config, side: str, wire: Wire, virtual: bool) -> None:
        self._link = wire if isinstance(wire, FaultyLink) and not virtual else None
        self._channel: Channel | None = None
        """That the link's faults act on."""
        self._deaf = False
        self._mentioned: set[str] = set()
        fault = config.fault
        self._standstills = iter(()) if virtual else standstills(fault, side)
        self._next: Standstill | None = next(self._standstills, None)
        self._clocks = [] if virtual else clocks(fault, side)
        self._kill_ns = NEVER if virtual else kill_ns(fault, side)

    # -- the link ---------------------------------------------------------------------------------------------------

    def use(self, channel: Channel | None) -> None:
        """``channel`` is the connection from now on; None: there is none."""
        self._channel, self._deaf = channel, False

    def lost(self, now: int) -> None:
        """The connection has ended, whatever ended it; what it was to suffer yet is over."""
        if self._link is not None and self._channel is not None:
            self._link.mend(now)
            self._channel = None

    def hears(self, channel: Channel) -> bool:
        """Whether what comes on ``channel`` still comes through."""
        return not (self._deaf and channel is self._channel)

    def send(self, channel: Channel, frame: Frame, clock: WallClock) -> None:
        """Post ``frame`` so that it arrives when it was said to, in the state in which it was said to.

        Raises:
            PeerLost: the connection is known to be gone.
        """
        if self._link is None:
            channel.post(frame, not_before=clock.host_ns(frame.arrives_ns) / 1e9)
            return
        harm = self._link.claim(frame.arrives_ns, frame.type)
        if frame.arrives_ns >= NEVER:
            if harm.most is None:
                assert isinstance(channel, Breakable)
                channel.silence(at_once=False)
                return
            frame = replace(frame, arrives_ns=frame.sent_ns)
        pause_ns = harm.pause_ns * clock.rate.denominator // clock.rate.numerator
        not_before = (clock.host_ns(frame.arrives_ns) - harm.pauses * pause_ns) / 1e9
        channel.post(frame, not_before=not_before, harm=replace(harm, pause_ns=pause_ns))

    # -- all of them ------------------------------------------------------------------------------------------------

    @property
    def next_ns(self) -> int:
        """When :meth:`strike` is to be called; NEVER if nothing is to come."""
        known = [self._kill_ns]
        if self._next is not None:
            known.append(self._next.begin_ns)
        if self._clocks:
            known.append(self._clocks[0][0])
        if self._link is not None and self._channel is not None:
            known.append(self._link.cut_ns if self._deaf else self._link.lost_ns)
        return min(known)

    def strike(self, emulator: Emulator, now: int) -> int:
        """Let come what is due at ``now``, to which every CPU has run; gives what time it is then."""
        if self._link is not None and self._channel is not None and self._link.lost_ns <= now:
            self._break_link(emulator, now)
        while self._clocks and self._clocks[0][0] <= now:
            self._mention(emulator, now, self._clocks.pop(0)[1])
        if self._kill_ns <= now:
            self._mention(emulator, now, "kill")
            emulator.log.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        while self._next is not None and self._next.begin_ns <= now:
            if self._next.end_ns > now or self._next.fault == "pause":
                now = self._stand(emulator, now, self._next)
            self._next = next(self._standstills, None)
        return now

    def _break_link(self, emulator: Emulator, now: int) -> None:
        """Nothing passes from the loss on; that there was one is noticed when the connection ends."""
        link, channel = self._link, self._channel
        assert link is not None
        assert isinstance(channel, Breakable)
        if not self._deaf:
            self._deaf = True
            channel.silence(at_once=True)
            link.tell_once(now, link.cause)
        if link.cut_ns <= now:
            channel.break_off(reset=link.cause == _RESETS)

    def _stand(self, emulator: Emulator, now: int, standstill: Standstill) -> int:
        """The process stops, all of it; what the guest's timers do meanwhile is found out afterwards."""
        self._mention(emulator, now, standstill.fault)
        stand(emulator, now, standstill.fault)
        emulator.log.flush()
        stop_for(_host_ns(emulator.clock, standstill.end_ns - standstill.begin_ns))
        after = max(emulator.clock.now(), now)
        go_on(emulator, after, standstill.fault, after - now)
        return after

    def _mention(self, emulator: Emulator, now: int, fault: str) -> None:
        if fault not in self._mentioned:
            self._mentioned.add(fault)
            emulator.emit(now, "fault_injected", fault=fault, on="")


def _host_ns(clock: Clock, ns: int) -> int:
    assert isinstance(clock, WallClock)
    return ns * clock.rate.denominator // clock.rate.numerator
