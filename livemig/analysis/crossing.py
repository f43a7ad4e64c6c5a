"""Who ran the guest when: stops, resumes, and the crossing from the source to the destination."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from livemig.analysis.log import Event, Place
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.verdict import Evidence, Unknown
from livemig.events.schema import DESTINATION, SOURCE

PerCpu = tuple[int | None, ...]
"""One entry a CPU; None where it was not recorded."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A ``machine_stopped`` or ``machine_resumed``; None where it was not recorded."""

    side: str
    state: str
    tb: int | None
    cpu_tb: PerCpu | None
    clock_ns: int | None
    decr: PerCpu | None
    pending: tuple[frozenset[str], ...] | None
    ram_digest: str | None
    seen: Evidence

    @classmethod
    def of(cls, event: Event, place: Place) -> Moment:
        cpu_tb, decr, pending = event["cpu_tb"], event["decr"], event["pending"]
        return cls(
            side=event["side"],
            state=event["state"],
            tb=event["tb"],
            cpu_tb=None if cpu_tb is None else tuple(cpu_tb),
            clock_ns=event["clock_ns"],
            decr=None if decr is None else tuple(decr),
            pending=None if pending is None else tuple(frozenset(names) for names in pending),
            ram_digest=event["ram_digest"],
            seen=Evidence(*place, event["t_ns"]),
        )

    @property
    def t_ns(self) -> int:
        return self.seen.t_ns

    def raised(self) -> frozenset[tuple[int, str]]:
        """The (cpu, timer) whose interrupt is raised and not delivered."""
        return frozenset((cpu, timer) for cpu, timers in enumerate(self.pending or ()) for timer in timers)


class Hop(NamedTuple):
    """A crossing: the ``stop`` on one side, the ``resume`` on the other. ``alone``: the guest crossed but once."""

    number: int
    stop: Moment
    resume: Moment
    alone: bool

    @property
    def blackout_ns(self) -> int:
        """From the one to the other."""
        return self.resume.t_ns - self.stop.t_ns

    @property
    def seen(self) -> tuple[Evidence, Evidence]:
        """Where both are to be found."""
        return self.stop.seen, self.resume.seen

    def __str__(self) -> str:
        """How a reason names it, at its end: nothing where there is only one."""
        return "" if self.alone else f" at hop {self.number}"


class Crossing(Observer):
    """Follows the guest. It begins on the source, running.

    A side that is not the owner may log what it likes of its own start-up: that is not the guest's history.
    """

    def __init__(self) -> None:
        self.owner = SOURCE
        """The side that runs the guest, or that ran it last."""
        self.running: str | None = SOURCE
        """The side that runs the guest now; None while nobody does."""
        self.stop: Moment | None = None
        """The guest's last stop."""
        self.resume: Moment | None = None
        """The guest's last resume after a stop."""
        self.crossings: list[tuple[Moment, Moment]] = []
        """Every stop and resume of which the resume is on another side: the hops, in order."""
        self.split: Evidence | None = None
        """A resume on one side while the other still ran."""
        self.pauses: list[tuple[int, int]] = []
        """Every stop and resume, in ns, but for those by hand."""
        self.held: list[tuple[int, int]] = []
        """Stretches for which an operator had the guest stand still; it is not judged for them."""
        self.held_since: int | None = None
        """Since when it stands so now."""
        self.reset_by_hand = False
        self._told_to_stop = False
        self.brought: frozenset[tuple[int, str]] = frozenset()
        """The (cpu, timer) whose interrupt was raised when the guest's history began."""
        self._booted_again: set[str] = set()

    def handlers(self) -> Mapping[str, Handler]:
        return {
            "operator": self._operator,
            "machine_stopped": self._stopped,
            "machine_resumed": self._resumed,
            "machine_reset": lambda event, place: self._booted_again.add(event["side"]),
        }

    def is_new_arm(self, event: Event) -> bool:
        """Whether a ``timer_armed`` is the guest's, and not a restored one, which goes on, or the start-up value of a
        destination that is still to get a guest."""
        side, cause = event["side"], event["cause"]
        start_up = cause == "reset" and side == DESTINATION and side not in self._booted_again
        return self.inherits(event) or bool(side == self.owner and cause != "restore" and not start_up)

    def inherits(self, event: Event) -> bool:
        """Whether a ``timer_armed`` is one that the guest brought along: its history does not begin with a boot but
        with its restore, on the source, from what an earlier run had saved."""
        return bool(event["cause"] == "restore" and event["side"] == SOURCE == self.owner and self.stop is None)

    def _operator(self, event: Event, place: Place) -> None:
        if event["side"] == self.owner:
            self._told_to_stop = event["command"] == "stop"
            self.reset_by_hand |= event["command"] == "system_reset"

    def _stopped(self, event: Event, place: Place) -> None:
        if event["side"] != self.owner:
            return
        stop, by_hand = Moment.of(event, place), self._told_to_stop
        self._told_to_stop = False
        if self.running is not None:
            self.running, self.stop = None, stop
            self.held_since = stop.t_ns if by_hand else None
        elif self.held_since is not None:
            self._held_until(stop.t_ns)
            self.stop = stop
        elif self.stop is not None and self.stop.ram_digest is None:
            # Paused by hand, then finish-migrate: time stands since the first, RAM is known from the second.
            self.stop = replace(self.stop, ram_digest=stop.ram_digest)

    def _resumed(self, event: Event, place: Place) -> None:
        side = event["side"]
        if self.running == side:
            if self.stop is None:
                self.brought = Moment.of(event, place).raised()
            return
        resume = Moment.of(event, place)
        if self.running is not None:
            self.split = self.split or resume.seen
        elif self.held_since is not None:
            self._held_until(resume.t_ns)
            self.resume = resume
        elif self.stop is not None:
            self.pauses.append((self.stop.t_ns, resume.t_ns))
            self.resume = resume
            if side != self.owner:
                self.crossings.append((self.stop, resume))
        self.owner = self.running = side

    def _held_until(self, t_ns: int) -> None:
        assert self.held_since is not None
        self.held.append((self.held_since, t_ns))
        self.held_since = None

    @property
    def held_ns(self) -> int:
        """For how long an operator had the guest stand, but for the stretch that has not ended."""
        return sum(until - since for since, until in self.held)

    @property
    def crossed(self) -> bool:
        """Whether the guest crossed at all."""
        return bool(self.crossings)

    def hops(self) -> list[Hop]:
        """Every crossing, numbered from 1; raises Unknown if there was none."""
        if not self.crossings:
            raise Unknown("the guest did not cross: no resume on the destination after a stop on the source")
        alone = len(self.crossings) == 1
        return [Hop(number, stop, resume, alone) for number, (stop, resume) in enumerate(self.crossings, 1)]

    def blackout_ns(self) -> int:
        """From the stop to the resume, of the longest; raises Unknown as `hops` does."""
        return max(hop.blackout_ns for hop in self.hops())

    @property
    def paused_ns(self) -> int:
        """The sum of all pauses."""
        return self.paused_since(0)

    def paused_since(self, epoch: int) -> int:
        """The sum of the pauses but for the first ``epoch``."""
        return sum(resume - stop for stop, resume in self.pauses[epoch:])
