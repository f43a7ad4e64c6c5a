"""A guest on one CPU, small enough to know the fate of every arm: the independent model for the account.

Its timebase ticks at 1 GHz and advances with the world. Times before the stop are multiples of 4, the stop is 1 and
the blackout is 1 modulo 4, so that what the guest does never coincides with the stop or the resume.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from .histories import arm, ended, irq, masked, resume, stop

FAR = 1 << 30


@dataclass
class Handler:
    """Interrupts are off for ``length``; ``writes`` are (when after its start, value), in order."""

    length: int
    writes: list[tuple[int, int]]


@dataclass
class Armed:
    due: int
    fires: int
    raised: int | None = None


@dataclass
class Guest:
    handlers: list[Handler]
    stop: int
    blackout: int
    end: int
    strategy: str
    level: bool
    freezes: bool = False
    events: list[dict[str, Any]] = field(default_factory=list)
    fates: Counter[str] = field(default_factory=Counter)
    counting: Armed | None = None
    waiting: Armed | None = None
    side: str = "source"
    busy_until: int = 0

    def run(self) -> Guest:
        handlers = iter(self.handlers)
        agenda: list[tuple[int, int]] = [(0, 40)]
        now = 0
        self.busy_until = 0
        while True:
            when, what = self._next(agenda)
            crossing = self.side == "source" and when > self.stop
            if crossing and self.stop < self.end:
                agenda = self._cross(agenda)
                continue
            if when > self.end:
                break
            now = when
            if what == "due":
                assert self.counting is not None
                self._due(now)
            elif what == "write":
                self._write(now, agenda.pop(0)[1])
            if self.waiting is not None and now >= self.busy_until:
                self._deliver(now)
                handler = next(handlers, None)
                if handler is None:
                    agenda, self.busy_until = [], now
                else:
                    self.busy_until = now + handler.length
                    agenda = [(now + after, value) for after, value in handler.writes]
        self._settle()
        self.events.append(ended(self.end, self.side))
        return self

    def _next(self, agenda: list[tuple[int, int]]) -> tuple[int, str]:
        ahead = [(FAR * 4, 2, "end")]
        if self.counting is not None:
            ahead.append((self.counting.fires, 0, "due"))
        if agenda:
            ahead.append((agenda[0][0], 1, "write"))
        if self.waiting is not None:
            ahead.append((self.busy_until, 2, "deliver"))
        when, _, what = min(ahead)
        return when, what

    def _due(self, now: int) -> None:
        fell, self.counting = self.counting, None
        assert fell is not None
        if self.waiting is not None:
            self.fates["superseded"] += 1
            self.events.append(irq(now, side=self.side, event="interrupt_coalesced", reason="already raised"))
            return
        fell.raised, self.waiting = now, fell
        if now < self.busy_until:
            self.events.append(masked(now, side=self.side))

    def _write(self, now: int, value: int) -> None:
        self.fates["armed"] += 1
        if self.level and self.waiting is not None:
            self.fates["superseded"] += 1
            self.waiting = None
        if self.counting is not None:
            since = self.stop + self.blackout if self.side == "destination" else 0
            self.fates["lost" if now - max(since, self.counting.due) > 1 else "superseded"] += 1
        self.counting = Armed(now + value, now + value)
        self.events.append(arm(now, value, side=self.side))

    def _deliver(self, now: int) -> None:
        arm_, self.waiting = self.waiting, None
        assert arm_ is not None
        assert arm_.raised is not None
        stood = self.stop + self.blackout
        crossed = arm_.raised < self.stop and now >= stood and not self.freezes
        late = max(0, arm_.raised - arm_.due) + (self.blackout if crossed else 0)
        self.fates["late" if late > 1 else "early" if now < arm_.due - 1 else "on_time"] += 1
        self.fates["worst_late_ns"] = max(self.fates["worst_late_ns"], late)
        self.fates["delivered"] += 1
        self.events.append(irq(now, side=self.side))

    def _cross(self, agenda: list[tuple[int, int]]) -> list[tuple[int, int]]:
        resumed = self.stop + self.blackout
        pending = [["decrementer"] if self.waiting is not None else []]
        self.events.append(stop(self.stop, pending=pending))
        self.side = "destination"
        if self.strategy == "pending-dropped" and self.waiting is not None:
            if self.counting is None:
                dropped = self.waiting
                dropped.due += self.stop - max(dropped.due, dropped.raised or 0)
                self.counting = Armed(dropped.due, FAR)
            else:
                self.fates["lost"] += 1
            self.waiting, pending = None, [[]]
        elif self.counting is not None and self.strategy == "none":
            self.counting.fires = resumed + FAR
        elif self.counting is not None and self.strategy == "absolute":
            self.counting.fires += self.blackout
        if self.counting is not None:
            self.counting.fires = max(self.counting.fires, resumed)
            self.counting.due += self.blackout if self.freezes else 0
        self.events.append(resume(resumed, pending=pending))
        self.busy_until += self.blackout if self.busy_until > self.stop else 0
        return [(when + self.blackout, value) for when, value in agenda]

    def _settle(self) -> None:
        self.fates["pending"] += self.waiting is not None
        if self.counting is not None:
            since = self.stop + self.blackout if self.side == "destination" else 0
            self.fates["lost" if self.end - max(since, self.counting.due) > 1 else "pending"] += 1
