"""One state of everything: both sides, what is on its way between them, and what may still go wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from explorer.tiny import NOW, PAGE_BYTES, Deaf, StillWire, TinyHops, TinyRam, hops, machine
from livemig.link.channel import Channel
from livemig.link.multi_channel import MultiChannel
from livemig.link.pages import pages_of
from livemig.machine.time_state import Host
from livemig.migration.destination import Destination
from livemig.migration.encoding import decoded
from livemig.migration.frames import Frame
from livemig.migration.settings import Settings
from livemig.migration.source import Source
from livemig.migration.status import Status
from livemig.strategies.table import STRATEGIES

S: Final = "source"
D: Final = "destination"
TORN: Final = 1 << 40
"""What stands in a page of which a part has come."""


def other(side: str) -> str:
    return D if side == S else S


@dataclass(frozen=True)
class Scenario:
    """What is tried.

    Args:
        writes, touches, cuts, crashes, cancels: how many of each, at most; `touches`: of missing pages. postcopies:
            `migrate-start-postcopy` may be said. channels: beside the main one, for pages. hops: how often it crosses.
    """

    name: str
    settings: Settings
    pages: int = 2
    cpus: int = 1
    writes: int = 0
    touches: int = 0
    cuts: int = 0
    crashes: int = 0
    cancels: int = 0
    postcopies: int = 0
    channels: int = 0
    hops: int = 1


@dataclass(slots=True)
class InFlight:
    """A frame, posted; `content`: of its pages, by number, when they were read from RAM; None: not yet."""

    frame: Frame
    content: dict[int, int] | None = None


class Line(Channel):
    """What one side has posted on one connection and the other has not received; no more of a `Channel` than that."""

    tally = signs = signs_of_life = property(lambda self: None)  # type: ignore[assignment]

    def __init__(self) -> None:
        self.frames: list[InFlight] = []

    def post(self, frame: Frame, *, not_before: float | None = None, harm: Any = None) -> None:
        self.frames.append(InFlight(frame))

    def grant(self, memory: memoryview, watch: Any = None) -> None: ...
    def restrict(self, takes: Any) -> None: ...
    async def flush(self) -> None: ...
    async def receive(self) -> Frame:
        raise NotImplementedError

    async def aclose(self) -> None: ...


class Turn:
    """`itertools.cycle`, which cannot be kept."""

    def __init__(self, lines: list[Line]) -> None:
        self._lines, self._next = lines, 0

    def __next__(self) -> Line:
        self._next = (self._next + 1) % len(self._lines)
        return self._lines[self._next]


@dataclass
class Budget:
    """What may still happen that need not."""

    writes: int
    touches: int
    cuts: int
    crashes: int
    cancels: int
    postcopies: int


@dataclass
class World:
    """Attributes:
    sides: None: it has crashed. lines: what each has sent, by connection. closed: whose end of the connection is.
    broken: what is on its way may be lost. urgent_lost: what goes by the connection for requested pages is lost, the
    other one stands, and the destination notices by the silence. guest: what memory has to hold, page by page. died:
    with which host the guest did. said: frames, in this step.
    """

    scenario: Scenario
    sides: dict[str, Any]
    guest: list[int]
    budget: Budget
    lines: dict[str, list[Line]] = field(default_factory=dict)
    post: dict[str, Channel] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    broken: bool = False
    urgent_lost: bool = False
    died: str = ""
    said: list[str] = field(default_factory=list)
    hops: dict[str, TinyHops] = field(default_factory=dict)
    sender: str = S
    """The side that the guest is to leave, by the migration that goes on or is to come."""

    @property
    def taker(self) -> str:
        return other(self.sender)

    def shared(self) -> list[Any]:
        """What is the same in all worlds of a scenario."""
        side = self.sides[S]
        return [side.strategy, side.host, side._wire, side._emit, side.machine.spec, side.precopy._policy,
                self.scenario, self.scenario.settings, self.hops[S]._config]  # fmt: skip

    def unharmed(self) -> bool:
        """Nothing has gone wrong."""
        budget, given = self.budget, self.scenario
        return (budget.cuts, budget.crashes, budget.cancels) == (given.cuts, given.crashes, given.cancels)

    # -- the connection ---------------------------------------------------------------------------------------------

    def connect(self) -> None:
        scenario = self.scenario
        self.closed = {name for name, side in self.sides.items() if side is None}
        self.broken = self.urgent_lost = False
        for side in (S, D):
            urgent = scenario.settings.postcopy.preempt and side == S
            lines = [Line() for _ in range(1 + scenario.channels + urgent)]
            self.lines[side] = lines
            self.post[side] = lines[0]
            if scenario.channels and side == S:
                spread = MultiChannel(lines[0], lines[1:], memoryview(bytes(scenario.pages * PAGE_BYTES)))
                spread._turn = Turn(lines[1:])  # type: ignore[assignment]
                self.post[side] = spread

    def posted(self, side: str) -> None:
        """Put on its way what `side` has to say."""
        it = self.sides[side]
        frames, it.outbox = it.outbox, []
        if not self.closed:
            for frame in frames:
                urgent = frame.urgent and self.scenario.settings.postcopy.preempt
                if not (urgent and self.urgent_lost):
                    (self.lines[side][-1] if urgent else self.post[side]).post(frame)
        self.said += [frame.type for frame in frames]
        following = None if side in self.closed else self.hops[side].after(it, NOW)
        if isinstance(following, Source):
            self.sender = side
        if following is not None:
            self.sides[side] = following
        elif it.over:
            self.close(side)

    def lose_urgent(self) -> None:
        """What goes by the connection for requested pages comes nowhere from now on."""
        self.urgent_lost = True
        self.lines[S][-1].frames.clear()

    def close(self, side: str) -> None:
        """`side` listens no more, and says no more than it has; what it sent is on its way as it is now."""
        self.closed.add(side)
        for line in self.lines.get(other(side), []):
            line.frames.clear()
        self.read_out(side, None)

    def read_out(self, side: str, page: int | None) -> None:
        """Read from RAM what `side` is to send of `page`, or of all."""
        for line in self.lines.get(side, []):
            for it in line.frames:
                if it.content is None and it.frame.carries_pages and (page is None or page in pages(it.frame)):
                    it.content = self.content(side, it.frame)

    def content(self, side: str, frame: Frame) -> dict[int, int]:
        numbers = self.sides[side].machine.ram.numbers
        return {page: numbers[page] for page in pages_of(frame.fields["runs"]).tolist()}

    def heads(self, side: str) -> list[int]:
        """The lines on which something can be received that `side` has sent; with several, up to the next fence."""
        lines = self.lines.get(side, [])
        if not self.scenario.channels or side == D:
            return [index for index, line in enumerate(lines) if line.frames]
        main, *others = lines
        heads = [index for index, line in enumerate(others, 1) if line.frames and line.frames[0].frame.type != "sync"]
        fenced = all(line.frames and line.frames[0].frame.type == "sync" for line in others)
        return [*([0] if main.frames and fenced else []), *heads]

    def take(self, side: str, index: int) -> InFlight:
        """The next one of these."""
        lines = self.lines[side]
        it = lines[index].frames.pop(0)
        if self.scenario.channels and side == S and index == 0:
            numbers = [line.frames.pop(0).frame.fields["number"] for line in lines[1:]]
            assert len(set(numbers)) == 1
        return it

    def place(self, name: str, it: InFlight) -> None:
        """Its pages into the RAM of `name`, as a channel does; nothing of them if they may not be written."""
        frame, side = it.frame, self.sides[name]
        if "runs" not in frame.fields:
            return
        words = side.machine.ram.words
        touched = pages_of(frame.fields["runs"])
        if frame.type == "encoded":
            words[touched] = decoded(frame.fields, memoryview(frame.payload), words[touched])
        else:
            content = self.content(other(name), frame) if it.content is None else it.content
            for page, number in content.items():
                words[page, 0] = number
        words[pages_of(frame.fields["zero"])] = 0

    def tear(self, name: str, it: InFlight) -> None:
        """A part of its pages."""
        for page in pages_of(it.frame.fields["runs"]).tolist():
            self.sides[name].machine.ram.words[page, 0] = TORN

    # -- the guest --------------------------------------------------------------------------------------------------

    def runs_at(self) -> list[str]:
        return [name for name, side in self.sides.items() if side is not None and side.machine.running]

    def missing(self) -> list[bool]:
        side = self.sides[self.taker]
        if not isinstance(side, Destination) or side.postcopy is None:
            return [False] * self.scenario.pages
        return side.postcopy.missing.tolist()  # type: ignore[no-any-return]

    def write(self, side: str, page: int) -> None:
        number = self.guest[page] + 100
        self.guest[page] = number
        ram = self.sides[side].machine.ram
        ram.words[page, 0] = number
        ram.mark(np.array([page]))

    def die(self, side: str) -> None:
        """`side` crashes; what it has sent is on its way."""
        self.close(side)
        self.broken = True
        if side == self.taker and self.handed_over():
            self.died = "the guest died with the destination"
        self.sides[side] = None

    def handed_over(self) -> bool:
        """The destination has the guest."""
        side = self.sides[self.taker]
        return isinstance(side, Destination) and side.owner == D

    def gone(self) -> str:
        """What became of the guest whose host crashed; empty: it is there, or may be as soon as a frame arrives."""
        if self.died or self.sides[self.sender] is not None:
            return self.died
        if self.handed_over():
            lost = any(self.missing()) and not self.on_its_way("postcopy_pages")
            return "what was missing died with the source" if lost else ""
        return "" if self.on_its_way("switchover", "resume") else "the guest died with the source"

    def on_its_way(self, *kinds: str) -> bool:
        """The source has sent such a frame, and the destination may still hear it."""
        frames = [it.frame.type for line in self.lines.get(self.sender, ()) for it in line.frames]
        return self.taker not in self.closed and any(kind in frames for kind in kinds)


def pages(frame: Frame) -> list[int]:
    return pages_of(frame.fields["runs"]).tolist()  # type: ignore[no-any-return]


def begin(scenario: Scenario) -> World:
    """The guest runs at the source, and nobody has asked for anything."""
    made = {side: machine(side, scenario.pages, scenario.cpus) for side in (S, D)}
    parts: tuple[Any, ...] = (Host(), StillWire(), scenario.settings, Deaf())
    source = Source(made[S], STRATEGIES["tb-offset"], *parts)
    destination = Destination(made[D], *parts)
    made[S].boot(NOW)
    ram = made[S].ram
    assert isinstance(ram, TinyRam)
    ram.words[:, 0] = range(scenario.pages)  # the first page is one of zeros
    budget = Budget(
        scenario.writes, scenario.touches, scenario.cuts, scenario.crashes, scenario.cancels, scenario.postcopies
    )
    roles = {side: hops(side, scenario.hops, scenario.cpus, parts) for side in (S, D)}
    return World(scenario, {S: source, D: destination}, ram.numbers, budget, hops=roles)


PAUSED: Final = Status.POSTCOPY_PAUSED
