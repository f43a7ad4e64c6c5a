"""The QMP commands of an emulator process, with QEMU's names, arguments and results; docs/qmp.md lists them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from livemig.emulator.addresses import place
from livemig.emulator.destination import DestinationEmulator
from livemig.emulator.emulator import Emulator
from livemig.emulator.parameters import NAMES
from livemig.emulator.source import SourceEmulator
from livemig.emulator.timekeeping import clocks
from livemig.errors import QmpError
from livemig.machine.runstate import RunState
from livemig.migration.source import Source
from livemig.migration.status import FINAL, Status
from livemig.qmp.commands import Arguments, Command
from livemig.timers.ticks import NS_PER_S

if TYPE_CHECKING:
    from livemig.emulator.human import HumanMonitor

_WHERE: Final[Arguments] = {"uri": ("string", False), "channels": ("array", False)}
_FLAG: Final = ("boolean", False)
_LONGEST_STEP_NS: Final = 3600 * NS_PER_S
_64_BIT: Final = ("powernv", "pseries", "mac99")


def commands(emulator: Emulator, quit_: Callable[[], None]) -> Mapping[str, Command]:
    """What ``emulator`` can be told. ``quit_``: called when the reply to ``quit`` has left."""
    table = {
        **_machine_commands(emulator),
        **_migration_commands(emulator),
        **_postcopy_commands(emulator),
        **_settings_commands(emulator),
        **_own_commands(emulator),
        **_facts(emulator),
        "quit": Command(lambda: emulator.notices.shutdown("host-qmp-quit"), after=quit_),
    }

    @cache
    def monitor() -> HumanMonitor:
        from livemig.emulator.human import HumanMonitor  # seldom asked for, and this is on the way of every start

        return HumanMonitor(emulator, table)

    async def ask_monitor(command_line: str, cpu_index: int | None = None) -> str:
        return await monitor().run(command_line, cpu_index)

    table["human-monitor-command"] = Command(
        ask_monitor, {"command-line": ("string", True), "cpu-index": ("integer", False)}
    )
    return table


def _machine_commands(emulator: Emulator) -> dict[str, Command]:
    async def stop() -> None:
        if not emulator.ended:  # else nothing runs
            await emulator.perform(emulator.stop)

    async def cont() -> None:
        if emulator.ended and emulator.machine.state is RunState.SHUTDOWN:
            raise _error("Resetting the Virtual Machine is required")
        if emulator.machine.state is RunState.POSTMIGRATE:
            raise _error("The guest was migrated away: here it would run a second time")
        await emulator.perform(emulator.cont)

    async def system_reset() -> None:
        await emulator.perform(emulator.system_reset)

    return {
        "query-status": Command(emulator.status),
        "stop": Command(stop),
        "cont": Command(cont),
        "system_reset": Command(system_reset),
    }


def _migration_commands(emulator: Emulator) -> dict[str, Command]:
    async def migrate(
        uri: str | None = None, channels: list[Any] | None = None, detach: bool = True, resume: bool = False
    ) -> None:
        source, where = _source(emulator), place(uri, channels)
        if emulator.machine.state is RunState.POSTMIGRATE:
            raise _error("Can't migrate the vm that was paused due to previous migration")
        await source.perform(lambda now: source.migrate(where, resume))

    async def migrate_incoming(
        uri: str | None = None, channels: list[Any] | None = None, exit_on_error: bool = True
    ) -> None:
        where = place(uri, channels)
        if not isinstance(emulator, DestinationEmulator):
            raise _error("'-incoming' was not specified on the command line")
        if not exit_on_error:
            raise _error("Parameter 'exit-on-error' does not accept value 'false'")
        await emulator.perform(lambda now: emulator.incoming(where))

    async def proceed(state: str) -> None:
        if state not in list(Status):
            raise _error(f"Parameter 'state' does not accept value '{state}'")
        _sending(emulator)
        await emulator.perform(lambda now: _proceed(_sending(emulator), state, now))

    async def cancel() -> None:
        if not emulator.ended and isinstance(emulator.side, Source):  # else there is nothing to cancel
            await emulator.perform(lambda now: _sending(emulator).cancel(now, "cancelled by the operator"))

    return {
        "query-migrate": Command(emulator.told),
        "migrate": Command(migrate, {**_WHERE, "detach": _FLAG, "resume": _FLAG}),
        "migrate-incoming": Command(migrate_incoming, {**_WHERE, "exit-on-error": _FLAG}),
        "migrate_cancel": Command(cancel),
        "migrate-continue": Command(proceed, {"state": ("string", True)}),
    }


def _postcopy_commands(emulator: Emulator) -> dict[str, Command]:
    async def start_postcopy() -> None:
        source = _source(emulator)
        await source.perform(source.start_postcopy)

    async def pause() -> None:
        await emulator.perform(emulator.pause)

    async def recover(uri: str) -> None:
        if not isinstance(emulator, DestinationEmulator):
            raise _error("Migrate recover can only be run when postcopy is paused.")
        await emulator.perform(lambda now: emulator.recover(place(uri, None)))

    return {
        "migrate-start-postcopy": Command(start_postcopy),
        "migrate-pause": Command(pause),
        "migrate-recover": Command(recover, {"uri": ("string", True)}),
    }


def _settings_commands(emulator: Emulator) -> dict[str, Command]:
    tuning = emulator.tuning

    async def set_capabilities(capabilities: list[Any]) -> None:
        def act(now: int) -> None:
            if emulator.side.status is not Status.NONE and emulator.side.status not in FINAL:
                raise _error("There's a migration process in progress")
            tuning.set_capabilities(capabilities)
            emulator.retune()

        await emulator.look(act)

    async def set_parameters(**given: Any) -> None:
        def act(now: int) -> None:
            tuning.set_parameters({name.replace("_", "-"): value for name, value in given.items()})
            emulator.retune()

        await emulator.look(act)

    return {
        "query-migrate-capabilities": Command(tuning.capabilities),
        "query-migrate-parameters": Command(tuning.parameters),
        "migrate-set-capabilities": Command(set_capabilities, {"capabilities": ("array", True)}),
        "migrate-set-parameters": Command(set_parameters, dict.fromkeys(NAMES, ("any", False))),
    }


def _own_commands(emulator: Emulator) -> dict[str, Command]:
    async def query_time() -> dict[str, Any]:
        said: dict[str, Any] = await emulator.look(lambda now: clocks(emulator, now))
        return said

    async def advance(ns: int | None = None) -> dict[str, Any]:
        if not emulator.clock.virtual:
            raise _error("The clock is the host's: only virtual time can be advanced")
        if ns is not None and not 0 <= ns <= _LONGEST_STEP_NS:
            raise _error(f"Parameter 'ns' expects an integer in the range of 0 to {_LONGEST_STEP_NS}")
        there = await emulator.perform(lambda now: emulator.leash.let_go(now, ns))
        await there.wait()
        return {"t-ns": emulator.clock.now()}

    async def inject_fault(fault: str, value: int | None = None) -> None:
        from livemig.emulator.injection import inject

        await emulator.perform(lambda now: inject(emulator, now, fault, value))

    return {
        "x-livemig-query-time": Command(query_time),
        "x-livemig-advance": Command(advance, {"ns": ("integer", False)}),
        "x-livemig-inject": Command(inject_fault, {"fault": ("string", True), "value": ("integer", False)}),
    }


def _facts(emulator: Emulator) -> dict[str, Command]:
    """What does not change."""
    machine = emulator.machine
    arch = "ppc64" if machine.spec.model in _64_BIT else "ppc"
    cpus = [
        {
            "cpu-index": cpu.index,
            "qom-path": f"/machine/unattached/device[{cpu.index}]",
            "thread-id": os.getpid(),
            "target": arch,
        }
        for cpu in machine.cpus
    ]
    return {
        "query-name": Command(lambda: {"name": machine.side}),
        "query-uuid": Command(lambda: {"UUID": "00000000-0000-0000-0000-000000000000"}),
        "query-kvm": Command(lambda: {"enabled": False, "present": False}),
        "query-target": Command(lambda: {"arch": arch}),
        "query-cpus-fast": Command(lambda: cpus),
        "query-memory-size-summary": Command(
            lambda: {"base-memory": machine.spec.ram_bytes, "plugged-memory": 0}
        ),
    }


def _source(emulator: Emulator) -> SourceEmulator:
    if not isinstance(emulator, SourceEmulator):
        if emulator.machine.state is RunState.INMIGRATE:
            raise _error("Guest is waiting for an incoming migration")
        raise _error("This guest came by a migration; it is sent on by migration.hops only")
    return emulator


def _sending(emulator: Emulator) -> Source:
    """Who sends the guest: the source, or after a hop perhaps the other one."""
    if emulator.hops.number > 1 and isinstance(emulator.side, Source):
        return emulator.side
    return _source(emulator).source


def _proceed(source: Source, state: str, now: int) -> None:
    if state != Status.PRE_SWITCHOVER or not source.proceed(now):
        raise _error(f"Migration not in expected state: {source.status}")


def _error(desc: str) -> QmpError:
    return QmpError("GenericError", desc)
