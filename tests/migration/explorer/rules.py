"""What must hold in every state, and what an end looks like."""

from __future__ import annotations

from typing import Any

from explorer.world import D, S, World
from livemig.emulator.roles import owner
from livemig.machine.runstate import RunState
from livemig.migration.destination import Destination
from livemig.migration.source import Source
from livemig.migration.status import POSTCOPY, Status

DEAD = "dead"
RUNS = {S: "runs at the source", D: "runs at the destination"}
PAUSED_WHOLE = "paused and whole at the source"


class Wrong(Exception):
    """A rule is broken, or an end is none; says how one comes there."""


def phase(side: Any) -> str:
    """Its status; and what else it goes by."""
    if side is None:
        return DEAD
    return _of_source(side) if isinstance(side, Source) else _of_destination(side)


def _of_source(side: Source) -> str:
    status = side.status
    if status is not Status.DEVICE:
        return str(status)
    if side.owner == "none":
        return "device, switched"
    if side._asked:
        return "device, asked"
    return "device, last pass" if side._last_pass else "device, loaded"


def _of_destination(side: Any) -> str:
    status, ours = side.status, side.owner == D
    if status is Status.ACTIVE and side.postcopy is not None:
        return "active, discarded"
    if status is Status.DEVICE:
        return "device, switched" if ours else "device, loaded"
    if status in POSTCOPY and not ours:
        return f"{status}, not ours"
    if status in POSTCOPY and side.resumed_ns is None:
        return f"{status}, waits"
    return str(status)


def broken_rule(world: World) -> str:
    """What is wrong; empty if nothing is."""
    source = world.sides[world.sender]
    if len(world.runs_at()) > 1:
        return "two owners: the guest runs on both sides"
    if all(it is not None and owner(it, name) == name for name, it in world.sides.items()):
        return "two owners: either side takes itself for it"
    if not world.died and (source is not None or world.handed_over()):
        wrong = _destination_has(world) if world.handed_over() else _source_has(world)
        if wrong:
            return wrong
    return _claims(world)


def _source_has(world: World) -> str:
    """The guest is not handed over: all of it is at the source."""
    source = world.sides[world.sender]
    assert source is not None
    if source.machine.ram.numbers != world.guest:
        return "a page is lost: the source has another guest than ran there"
    if source.over and source.owner == S and not source.machine.running:
        return f"no owner: the source has the guest, is {source.status}, and does not run it"
    if source.machine.state not in (RunState.RUNNING, RunState.FINISH_MIGRATE):
        return f"no owner: the source is {source.machine.state}, and the destination has no switchover"
    return ""


def _destination_has(world: World) -> str:
    """Every page is there, or missing there and at the source."""
    source, destination = world.sides[world.sender], world.sides[world.taker]
    here, missing = destination.machine.ram.numbers, world.missing()
    there = world.guest if source is None else source.machine.ram.numbers
    for page, number in enumerate(world.guest):
        if (there if missing[page] else here)[page] != number:
            return f"a page is lost: {page} is {'missing, and not at the source' if missing[page] else 'another'}"
    if any(missing) and source is not None and source.status not in (*POSTCOPY,):
        return f"a page is lost: the source is {source.status}, and pages are missing"
    if not destination.machine.running and destination._due is None:
        return "no owner: the destination has the guest and is not going to run it"
    if any(not missing[page] for _, page in destination.machine.writes.standing):
        return "a CPU stands for a page that is there"
    return ""


def _claims(world: World) -> str:
    source, destination = world.sides[world.sender], world.sides[world.taker]
    if not isinstance(destination, Destination) or world.died:
        return ""
    if source is not None and source.status is Status.COMPLETED and (destination.owner != D or any(world.missing())):
        return "the source says completed, and the destination has not all of the guest"
    if destination.status is Status.COMPLETED and any(world.missing()):
        return "the destination says completed, and pages are missing"
    return ""


def ending(world: World) -> tuple[str, str, str]:
    """Where nothing more happens by itself: the phase of either side, and what has become of the guest."""
    taker = world.sides[world.taker]
    still = ", still a source" if isinstance(taker, Source) else ""
    return phase(world.sides[world.sender]), phase(taker) + still, _guest(world)


def _guest(world: World) -> str:
    if gone := world.gone():
        return gone
    running = world.runs_at()
    if not running:
        return PAUSED_WHOLE if world.sides[world.sender] is not None else "? nobody has it"
    if running == [world.taker] and any(world.missing()):
        return "? pages are missing that the source has"
    return RUNS[S if running == [world.sender] else D]
