"""What an emulator does from its second hop on, when it may play the other role than the one it began with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from livemig.events.schema import DESTINATION, SOURCE
from livemig.migration.destination import Destination
from livemig.migration.source import Source
from livemig.migration.status import Status

if TYPE_CHECKING:
    from livemig.emulator.emulator import Emulator


def conclude(emulator: Emulator, now: int) -> None:
    """End the run here if it is over."""
    side = emulator.side
    if isinstance(side, Destination):
        if side.status in (Status.FAILED, Status.CANCELLED):
            emulator.finish(side.reason or str(side.status))
        elif side.resumed_ns is not None and now >= emulator.duration_ns:
            emulator.finish("duration")
    elif side.status is Status.COMPLETED:
        emulator.finish("migrated")
    elif isinstance(side, Source) and now >= emulator.duration_ns:
        give_up(side, now)
        emulator.finish("duration")


def give_up(side: Source, now: int) -> None:
    """The scenario is over, whatever the migration has come to."""
    if side.status is not Status.NONE and not side.over:
        reason = "not complete within run.duration"
        if not side.cancel(now, reason):
            side.fail(now, f"{reason}, and the destination did not say that it runs the guest")


def progress(side: Source | Destination, before: Source | Destination, now: int) -> dict[str, Any]:
    """``query-migrate``: of the migration that goes on, else of the one ``before``."""
    told = before if side.status is Status.NONE else side
    if isinstance(told, Source):
        return told.figures(now)
    return {"status": str(told.status), **({"error-desc": told.reason} if told.reason else {})}


def owner(side: Source | Destination, name: str) -> str:
    """Who has the guest, as ``side`` of the process ``name`` knows it: ``source`` or ``destination``, as the processes
    are called whatever their roles, or ``none``."""
    other = DESTINATION if name == SOURCE else SOURCE
    sends, takes = (name, other) if isinstance(side, Source) else (other, name)
    return {"source": sends, "destination": takes}.get(side.owner, "none")
