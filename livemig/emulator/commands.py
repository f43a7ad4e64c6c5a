"""The QMP commands of an emulator process, with QEMU's names, arguments and results."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from livemig.emulator.destination import DestinationEmulator
from livemig.emulator.emulator import Emulator
from livemig.emulator.source import SourceEmulator
from livemig.errors import QmpError
from livemig.migration.source import Source
from livemig.migration.status import Status
from livemig.qmp.commands import Command


def commands(emulator: Emulator, quit_: Callable[[], None]) -> Mapping[str, Command]:
    """What ``emulator`` can be told. ``quit_``: called when the reply to ``quit`` has left."""

    async def stop() -> None:
        await emulator.perform(emulator.stop)

    async def cont() -> None:
        await emulator.perform(emulator.cont)

    async def migrate(uri: str, detach: bool = True, resume: bool = False) -> None:
        source = _source(emulator)
        await source.perform(lambda now: source.migrate(uri, resume))

    async def migrate_start_postcopy() -> None:
        source = _source(emulator)
        await source.perform(source.start_postcopy)

    async def migrate_pause() -> None:
        await emulator.perform(emulator.pause)

    async def migrate_recover(uri: str) -> None:
        if not isinstance(emulator, DestinationEmulator):
            raise QmpError("GenericError", "Migrate recover can only be run when postcopy is paused.")
        await emulator.perform(lambda now: emulator.recover(uri))

    async def migrate_continue(state: str) -> None:
        _sending(emulator)
        await emulator.perform(lambda now: _proceed(_sending(emulator), state, now))

    async def migrate_cancel() -> None:
        _sending(emulator)
        await emulator.perform(lambda now: _sending(emulator).cancel(now, "cancelled by the operator"))

    return {
        "query-status": Command(emulator.status),
        "query-migrate": Command(emulator.told),
        "stop": Command(stop),
        "cont": Command(cont),
        "migrate": Command(
            migrate, {"uri": ("string", True), "detach": ("boolean", False), "resume": ("boolean", False)}
        ),
        "migrate-start-postcopy": Command(migrate_start_postcopy),
        "migrate-pause": Command(migrate_pause),
        "migrate-recover": Command(migrate_recover, {"uri": ("string", True)}),
        "migrate_cancel": Command(migrate_cancel),
        "migrate-continue": Command(migrate_continue, {"state": ("string", True)}),
        "quit": Command(lambda: None, after=quit_),
    }


def _source(emulator: Emulator) -> SourceEmulator:
    if not isinstance(emulator, SourceEmulator):
        raise QmpError("GenericError", "Guest is waiting for an incoming migration")
    return emulator


def _sending(emulator: Emulator) -> Source:
    """Who sends the guest: the source, or after a hop perhaps the other one."""
    if emulator.hops.number > 1 and isinstance(emulator.side, Source):
        return emulator.side
    return _source(emulator).source


def _proceed(source: Source, state: str, now: int) -> None:
    if state != Status.PRE_SWITCHOVER or not source.proceed(now):
        raise QmpError("GenericError", f"Migration not in expected state: {source.status}")
