"""A guest that is kept in a file, restored once and again, and kept once more: who has it, whatever goes wrong.

A side writes what it says into a file of its own, which gets its name when all of it is on the disk; whoever restores
reads a file that has one. What the state machines are told is what `livemig.link.stream_file` and the emulators tell
them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from explorer.rules import phase
from explorer.state import frozen, frozen_frame
from explorer.tiny import NOW, Deaf, StillWire, TinyRam, machine
from explorer.world import InFlight, pages
from livemig.link.pages import pages_of
from livemig.machine.time_state import Host
from livemig.migration.destination import Destination
from livemig.migration.frames import Frame
from livemig.migration.settings import Settings
from livemig.migration.source import Source
from livemig.migration.status import Status
from livemig.strategies.table import STRATEGIES

S: Final = "source"
Step = tuple[Any, ...]
GOOD: Final = frozenset({"migrate", "tick", "publish", "on the disk", "told", "deliver"})


@dataclass(frozen=True)
class KeptScenario:
    """`restores`: how often somebody starts with a file; `again`: a restored guest may be kept in its turn; `faults`:
    full disks, damaged files and crashes, together."""

    name: str
    settings: Settings
    pages: int = 2
    writes: int = 0
    cancels: int = 0
    faults: int = 0
    restores: int = 2
    again: bool = False


@dataclass
class File:
    """Attributes: named: it can be restored. broken: the disk was full, and nothing of it is left."""

    frames: list[InFlight] = field(default_factory=list)
    named: bool = False
    broken: bool = False

    @property
    def whole(self) -> bool:
        return not self.broken and bool(self.frames) and self.frames[-1].frame.type == "switchover"


@dataclass
class KeptWorld:
    """Attributes: sides: by name; None: it has crashed. files: by who writes it. reads: by who restores, which file and
    the next frame of it. guests: what memory has to hold, by side."""

    scenario: KeptScenario
    sides: dict[str, Any]
    files: dict[str, File]
    guests: dict[str, list[int]]
    left: dict[str, int]
    reads: dict[str, tuple[str, int]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def shared(self) -> list[Any]:
        side = self.sides[S]
        return [side.strategy, side.host, side._wire, side._emit, side.machine.spec, side.precopy._policy,
                self.scenario, self.scenario.settings]  # fmt: skip

    def unharmed(self) -> bool:
        return (self.left["faults"], self.left["cancels"]) == (self.scenario.faults, self.scenario.cancels)

    def posted(self, name: str) -> None:
        """Into its file, and to nobody else."""
        it = self.sides[name]
        frames, it.outbox = it.outbox, []
        file = self.files.get(name)
        for frame in frames if file is not None and isinstance(it, Source) else []:
            assert file is not None
            if frame.type == "cancel":
                file.frames, file.broken = [], True
            if file.broken:
                break
            numbers = it.machine.ram.numbers
            content = {page: numbers[page] for page in pages(frame)} if "runs" in frame.fields else None
            file.frames.append(InFlight(frame, content))

    def content(self, name: str) -> list[int]:
        """What a restore makes of the file that `name` has written."""
        ram = [0] * self.scenario.pages
        for it in self.files[name].frames:
            for page, number in (it.content or {}).items():
                ram[page] = number
            if "zero" in it.frame.fields:
                for page in pages_of(it.frame.fields["zero"]).tolist():
                    ram[page] = 0
        return ram


def _parts(settings: Settings) -> tuple[Any, ...]:
    return Host(), StillWire(), settings, Deaf()


def begin(scenario: KeptScenario) -> KeptWorld:
    source = Source(machine(S, scenario.pages, 1), STRATEGIES["tb-offset"], *_parts(scenario.settings))
    source.machine.boot(NOW)
    ram = source.machine.ram
    assert isinstance(ram, TinyRam)
    ram.words[:, 0] = range(scenario.pages)
    left = {name: getattr(scenario, name) for name in ("writes", "cancels", "faults", "restores")}
    return KeptWorld(scenario, {S: source}, {S: File()}, {S: ram.numbers}, left)


# -- what can happen ------------------------------------------------------------------------------------------------


def steps(world: KeptWorld) -> list[Step]:
    found: list[Step] = []
    for name, side in world.sides.items():
        if side is not None:
            found += _of_writer(world, name, side) if isinstance(side, Source) else _of_reader(world, name, side)
            if side.due is not None:
                found.append(("tick", name))
            if world.left["faults"]:
                found.append(("crash", name))
    if world.left["restores"]:
        found += [("restore", name) for name, file in world.files.items() if file.named]
    return found


def _of_writer(world: KeptWorld, name: str, side: Source) -> list[Step]:
    file, found = world.files[name], []
    begun = side.status is not Status.NONE and not side.over
    if side.status is Status.NONE:
        found.append(("migrate", name))
    if begun and world.left["cancels"]:
        found.append(("migrate_cancel", name))
    if begun and file.broken:
        found.append(("told", name))
    if begun and not (file.broken or file.named) and world.left["faults"]:
        found.append(("disk full", name))
    if file.whole and not file.named:
        found.append(("publish", name))
    if begun and file.named:
        found.append(("on the disk", name))
    if side.machine.running and world.left["writes"]:
        found += [("write", name, page) for page in range(world.scenario.pages)]
    return found


def _of_reader(world: KeptWorld, name: str, side: Destination) -> list[Step]:
    of, at = world.reads[name]
    found: list[Step] = []
    if not side.over and at < len(world.files[of].frames):
        found.append(("deliver", name))
        if world.left["faults"]:
            found.append(("damaged", name))
    return found


def take(world: KeptWorld, step: Step) -> None:
    kind, name = step[:2]
    if kind == "restore":
        _restore(world, name)
        return
    if kind == "crash":
        world.left["faults"] -= 1
        if not world.files[name].named:
            world.files[name].frames.clear()
        world.sides[name] = None
        return
    side = world.sides[name]
    if isinstance(side, Source):
        _writes(world, kind, name, side, *step[2:])
    else:
        _reads(world, kind, name, side)
    world.posted(name)
    if isinstance(side, Destination) and side.resumed_ns is not None and world.scenario.again:
        world.sides[name] = Source(side.machine, STRATEGIES["tb-offset"], *_parts(world.scenario.settings))


def _writes(world: KeptWorld, kind: str, name: str, side: Source, page: int = 0) -> None:
    file = world.files[name]
    if kind == "migrate":
        side.start(NOW, to_file=True)
    elif kind == "tick":
        side.tick(max(NOW, side.due or NOW))
    elif kind == "migrate_cancel":
        world.left["cancels"] -= 1
        side.cancel(NOW, "asked to")
    elif kind == "disk full":
        world.left["faults"] -= 1
        file.broken, file.frames = True, []
    elif kind == "told":
        side.reclaim()
        side.fail(NOW, "the disk is full")
    elif kind == "publish":
        file.named = True
    elif kind == "on the disk":
        side.receive(NOW, Frame("bye", NOW, NOW))
    else:
        world.left["writes"] -= 1
        world.guests[name][page] += 100
        side.machine.ram.words[page, 0] = world.guests[name][page]
        side.machine.ram.mark([page])


def _restore(world: KeptWorld, of: str) -> None:
    world.left["restores"] -= 1
    name = f"restore {world.scenario.restores - world.left['restores']}"
    side = Destination(machine("destination", world.scenario.pages, 1), *_parts(world.scenario.settings))
    side.by_file = True
    world.sides[name], world.files[name], world.reads[name] = side, File(), (of, 0)
    world.guests[name] = list(world.guests[of])


def _reads(world: KeptWorld, kind: str, name: str, side: Destination) -> None:
    if kind == "tick":
        side.tick(max(NOW, side.due or NOW))
        return
    of, at = world.reads[name]
    it = world.files[of].frames[at]
    world.reads[name] = of, at + 1
    if kind == "damaged":
        world.left["faults"] -= 1
        side.fail(NOW, "damaged")
        return
    ram = side.machine.ram
    for page, number in (it.content or {}).items():
        ram.words[page, 0] = number
    if "zero" in it.frame.fields:
        ram.words[pages_of(it.frame.fields["zero"]), 0] = 0
    else:
        side.receive(NOW, it.frame)


# -- what must hold -------------------------------------------------------------------------------------------------


def broken_rule(world: KeptWorld) -> str:
    """What is wrong; empty if nothing is."""
    for name, side in world.sides.items():
        file = world.files[name]
        if file.named and world.content(name) != world.guests[name]:
            return "a page is lost: the file has another guest than was stopped"
        if isinstance(side, Source):
            wrong = _of_source(side, file)
        else:
            wrong = "" if side is None else _of_restored(side, world.guests[name])
        if wrong:
            return wrong
        if side is not None and side.machine.running and side.machine.ram.numbers != world.guests[name]:
            return "a page is lost: another guest runs than was kept"
    return ""


def _of_source(side: Source, file: File) -> str:
    if file.named and (side.machine.running or side.owner == S):
        return "two owners: the guest is in the file, and where it was"
    if side.status is Status.COMPLETED and not file.named:
        return "the source says completed, and there is no file"
    if side.over and not file.named and not side.machine.running:
        return "no owner: there is no file, and the source does not run the guest"
    return ""


def _of_restored(side: Destination, guest: list[int]) -> str:
    if side.machine.running and side.owner == S:
        return "two owners: it runs before all of the file has been read"
    if side.owner != S and side.machine.ram.numbers != guest:
        return "a page is lost: what was restored is not what was kept"
    return ""


def ending(world: KeptWorld) -> tuple[str, str, str]:
    """The source, the file, and who has the guest."""
    source, file = world.sides[S], world.files[S]
    if file.named:
        return phase(source), "there", "is in the file, and wherever that was restored"
    if source is None:
        return phase(source), "not there", "the guest died with the source"
    return phase(source), "not there", "runs at the source" if source.machine.running else "? nobody has it"


def state(world: KeptWorld) -> Any:
    """Hashable; equal where all that can follow is."""
    return (
        tuple((name, frozen(side)) for name, side in world.sides.items()),
        tuple((tuple(map(frozen_frame, file.frames)), file.named, file.broken) for file in world.files.values()),
        tuple(map(tuple, world.guests.values())),
        tuple(world.reads.values()),
        tuple(world.left.values()),
    )
