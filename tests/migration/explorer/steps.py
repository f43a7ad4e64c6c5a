"""All that can happen to a world next, and what it then becomes.

`GOOD` steps are what happens by itself where nothing goes wrong: frames arrive, what is due is done, whoever operates
the pair takes up what is paused. All others cost something of the budget.
"""

from __future__ import annotations

from typing import Any, Final

from explorer.tiny import NOW
from explorer.world import PAUSED, D, S, World, other
from livemig.errors import ProtocolError
from livemig.migration.destination import Destination
from livemig.migration.source import Source
from livemig.migration.status import FINAL, Status

Step = tuple[Any, ...]
"""Kind, side, and more."""

GOOD: Final = frozenset(
    {"migrate", "deliver", "tick", "migrate-continue", "migrate resume", "connected", "notice", "timeout"}
)
LOST: Final = "link lost"


def steps(world: World) -> list[Step]:
    """What can happen."""
    found: list[Step] = []
    for name, side in world.sides.items():
        if side is not None:
            found += _of_side(world, name, side)
        if isinstance(side, Source):
            found += _of_source(world, name, side)
            if side.status is Status.POSTCOPY_RECOVER_SETUP:
                found += _of_recovery(world, name)
    if world.scenario.settings.postcopy.preempt and world.lines and world.budget.cuts and not world.closed:
        found += [] if world.urgent_lost else [("urgent lost", S)]
    found += _of_guest(world)
    return found


def _of_side(world: World, name: str, side: Any) -> list[Step]:
    found: list[Step] = []
    if side.due is not None:
        found.append(("tick", name))
    if name not in world.closed and world.lines:
        heads = world.heads(other(name))
        found += [("deliver", name, index) for index in heads]
        gone = other(name) in world.closed
        if (gone and (world.broken or not heads)) or (world.urgent_lost and name == D):
            found.append(("notice", name))
        elif world.budget.cuts:
            found.append(("cut", name))
        if world.budget.cuts and heads:
            found += [("damaged", name, index) for index in heads]
    if world.budget.crashes:
        found.append(("crash", name))
    return found


def _of_source(world: World, name: str, source: Source) -> list[Step]:
    found: list[Step] = []
    status = source.status
    if status is Status.NONE:
        found.append(("migrate", name))
    if status is Status.PRE_SWITCHOVER:
        found.append(("migrate-continue", name))
    if world.budget.cancels and status is not Status.NONE and status not in FINAL:
        found.append(("migrate_cancel", name))
    if world.budget.postcopies and status in (Status.SETUP, Status.ACTIVE):
        found.append(("migrate-start-postcopy", name))
    peer = world.sides[other(name)]
    if status is PAUSED and world.closed == {S, D} and peer is not None and peer.status is PAUSED:
        found.append(("migrate resume", name))
    return found


def _of_recovery(world: World, name: str) -> list[Step]:
    peer = world.sides[other(name)]
    if peer is None or peer.status is not PAUSED:
        return [("timeout", name)]
    return [("connected", name), *([("unreached", name)] if world.budget.cuts else [])]


def _of_guest(world: World) -> list[Step]:
    found: list[Step] = []
    for name in world.runs_at():
        missing = world.missing() if name == world.taker else [False] * world.scenario.pages
        if world.budget.writes:
            for page, gone in enumerate(missing):
                if not gone:
                    found += [("write", name, page, read_out) for read_out in _ways(world, name, page)]
        if world.budget.touches and name == world.taker:
            machine = world.sides[name].machine
            free = set(range(world.scenario.cpus)) - {cpu for cpu, _ in machine.writes.standing}
            found += [("touch", name, cpu, page) for page, gone in enumerate(missing) if gone for cpu in sorted(free)]
    return found


def _ways(world: World, name: str, page: int) -> list[bool]:
    """Whether what is on its way of the page was read before the write, or will be after it; both where both can be."""
    unread = any(
        it.content is None and it.frame.carries_pages and page in _pages(it)
        for line in world.lines.get(name, [])
        for it in line.frames
    )
    return [False, True] if unread else [False]


def _pages(it: Any) -> list[int]:
    return [page for first, count in it.frame.fields["runs"].tolist() for page in range(first, first + count)]


def take(world: World, step: Step) -> tuple[str, str] | None:
    """Let `step` happen; gives which side it happened to, and as what, if the state machines are told."""
    kind, name = step[:2]
    side = world.sides[name]
    if kind == "deliver":
        return name, _deliver(world, name, side, step[2])
    if kind in ("write", "touch"):
        return _guest(world, step)
    if kind == "crash":
        world.budget.crashes -= 1
        world.die(name)
        return None
    if kind == "damaged":
        world.budget.cuts -= 1
        world.broken = True
        _damaged(world, name, side, step[2])
        return name, "damaged frame"
    if kind == "urgent lost":
        world.budget.cuts -= 1
        world.lose_urgent()
        return None
    if kind in ("cut", "notice", "unreached", "timeout"):
        if kind in ("cut", "unreached"):
            world.budget.cuts -= 1
            world.broken = True
        _lose(world, name, side)
        return name, LOST
    _told(world, name, kind, side)
    world.posted(name)
    return name, kind


def _told(world: World, name: str, kind: str, side: Any) -> None:
    """By whoever operates it, or by its clock."""
    budget = world.budget
    if kind == "tick":
        side.tick(max(NOW, side.due))
    elif kind == "migrate":
        if world.hops[name].number == 1:
            world.connect()
            side.start(NOW)
        else:
            world.hops[name].begin(side, NOW)
    elif kind == "migrate-continue":
        side.proceed(NOW)
    elif kind == "migrate_cancel":
        budget.cancels -= 1
        side.cancel(NOW, "asked to")
    elif kind == "migrate-start-postcopy":
        budget.postcopies -= 1
        side.start_postcopy()
    elif kind == "migrate resume":
        side.recover(NOW)
    else:
        world.connect()
        side.reconnected(NOW)


def _deliver(world: World, name: str, side: Any, index: int) -> str:
    it = world.take(other(name), index)
    frame = it.frame
    if "runs" in frame.fields and not frame.announced:
        if isinstance(side, Source) or side.postcopy is not None:
            raise AssertionError("pages that are not announced, where the guest is, or is to run without them")
        world.place(name, it)
        return frame.type
    if frame.type == "sync":
        return "sync"
    try:
        if frame.announced:
            touched = [*frame.fields["runs"].tolist(), *frame.fields["zero"].tolist()]
            if not all(world.missing()[page] for first, count in touched for page in range(first, first + count)):
                raise ProtocolError(frame.type, "runs", "a page that is not missing")
            world.place(name, it)
        side.receive(NOW, frame)
    except ProtocolError as error:
        _fail(world, name, side, str(error))
        raise AssertionError(f"{name} takes a frame of the other side for a wrong one: {error}") from None
    world.posted(name)
    return frame.type


def _damaged(world: World, name: str, side: Any, index: int) -> None:
    """A frame has come in part, or other than it was sent; of its pages something may be in RAM."""
    it = world.take(other(name), index)
    if isinstance(side, Destination):
        if it.frame.carries_pages:
            world.tear(name, it)
        if not side.over and side.owner == S:
            side.refuse(NOW, "damaged")
    _fail(world, name, side, "damaged")


def _lose(world: World, name: str, side: Any) -> None:
    _fail(world, name, side, "the link was lost")


def _fail(world: World, name: str, side: Any, reason: str) -> None:
    if not side.over:
        side.fail(NOW, reason)
    world.posted(name)
    world.close(name)


def _guest(world: World, step: Step) -> tuple[str, str] | None:
    kind, name, *rest = step
    side = world.sides[name]
    if kind == "write":
        page, read_out = rest
        world.budget.writes -= 1
        if read_out:
            world.read_out(name, page)
        world.write(name, page)
        return None
    cpu, page = rest
    world.budget.touches -= 1
    side.machine.writes.touches[cpu] = page
    side.tick(NOW)
    world.posted(name)
    return name, "page fault"
