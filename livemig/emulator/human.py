"""The human monitor, as QMP's ``human-monitor-command`` reaches it: QEMU's words in, QEMU's lines out."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from livemig.emulator import shown
from livemig.emulator.parameters import NAMES, NUMBERS
from livemig.emulator.tuning import CAPABILITIES
from livemig.errors import LivemigError, QmpError
from livemig.qmp.commands import Command
from livemig.qmp.server import VERSION

if TYPE_CHECKING:
    from livemig.emulator.emulator import Emulator

_END: Final = "\r\n"
_UNITS: Final = {"": 0, "B": 0, "k": 10, "K": 10, "M": 20, "G": 30, "T": 40, "P": 50, "E": 60}
_IN_MIB: Final = ("max-bandwidth", "avail-switchover-bandwidth")
"""Where no unit is given these are in MiB, and all others in bytes, or in what they are."""
_SIZE: Final = re.compile(r"(\d{1,20})([BkKMGTPE]?)")

Act = Callable[[list[str]], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class _Word:
    """A command of the monitor: ``least`` and ``most`` arguments, and what ``help`` says."""

    act: Act
    arguments: str
    help: str
    least: int = 0
    most: int = 0


class HumanMonitor:
    """Args: ``commands``: those of QMP; ``quit`` among them is not the monitor's."""

    def __init__(self, emulator: Emulator, commands: Mapping[str, Command]) -> None:
        self._emulator, self._commands = emulator, commands
        self._cpu = 0
        self._words = {name: word for names, word in self._table().items() for name in names.split("|")}
        self._infos = self._info_table()

    async def run(self, command_line: str, cpu_index: int | None = None) -> str:
        """What the monitor answers to ``command_line``.

        Raises:
            QmpError: there is no CPU ``cpu_index``.
        """
        if cpu_index is not None:
            if not 0 <= cpu_index < len(self._emulator.machine.cpus):
                raise QmpError("GenericError", "Parameter 'cpu-index' expects a CPU number")
            self._cpu = cpu_index
        words = command_line.split()
        if not words:
            return ""
        return "".join(line + _END for line in await self._answer(words))

    async def _answer(self, words: list[str]) -> list[str]:
        name, *given = words
        if name not in self._words:
            return [f"unknown command: '{name}'"]
        word = self._words[name]
        full = next(names for names in self._table() if name in names.split("|"))
        if len(given) < word.least:
            return [f"{full}: string expected", f'Try "help {name}" for more information']
        if len(given) > word.most:
            return [f"{full}: extraneous characters at the end of line", f'Try "help {name}" for more information']
        try:
            return await word.act(given)
        except LivemigError as error:
            return [f"Error: {error}"]

    def _table(self) -> dict[str, _Word]:
        simple, one = self._plain, self._with_one
        return {
            "cont|c": _Word(simple("cont"), "", "resume emulation"),
            "cpu": _Word(self._choose_cpu, "index", "set the default CPU", 1, 1),
            "help|?": _Word(self._help, "[cmd]", "show the help", 0, 2),
            "info": _Word(self._info, "[subcommand]", "show various information about the system state", 0, 2),
            "migrate": _Word(self._migrate, "[-d] [-r] uri", "migrate to URI (-r to resume a paused migration)", 1, 3),
            "migrate_cancel": _Word(simple("migrate_cancel"), "", "cancel the current VM migration"),
            "migrate_continue": _Word(
                one("migrate-continue", "state"), "state", "Continue migration from the given paused state", 1, 1
            ),
            "migrate_incoming": _Word(
                one("migrate-incoming", "uri"), "uri", "Continue an incoming migration from an -incoming defer", 1, 1
            ),
            "migrate_pause": _Word(simple("migrate-pause"), "", "Pause an ongoing migration (postcopy-only)"),
            "migrate_recover": _Word(
                one("migrate-recover", "uri"), "uri", "Continue a paused incoming postcopy migration", 1, 1
            ),
            "migrate_set_capability": _Word(
                self._set_capability, "capability state", "Enable the usage of a capability for migration", 2, 2
            ),
            "migrate_set_parameter": _Word(
                self._set_parameter, "parameter value", "Set the parameter for migration", 2, 2
            ),
            "migrate_start_postcopy": _Word(
                simple("migrate-start-postcopy"), "", "switch the migration to postcopy mode"
            ),
            "stop|s": _Word(simple("stop"), "", "stop emulation"),
            "system_reset": _Word(simple("system_reset"), "", "reset the system"),
        }  # fmt: skip

    def _info_table(self) -> dict[str, tuple[str, Callable[[list[str]], Awaitable[list[str]]]]]:
        return {
            "cpus": ("show infos for each CPU", self._cpus),
            "migrate": ("show migration status", self._of("query-migrate", shown.migration)),
            "migrate_capabilities": (
                "show current migration capabilities", self._of("query-migrate-capabilities", shown.capabilities)
            ),
            "migrate_parameters": (
                "show current migration parameters", self._of("query-migrate-parameters", shown.parameters)
            ),
            "name": ("show the current VM name", self._of("query-name", lambda said: [said["name"]])),
            "registers": (
                "show the cpu registers (-a: of all cpus; a number: of that one; else of the current one)",
                self._registers,
            ),
            "status": (
                "show the current VM status (running|paused)",
                self._of("query-status", lambda said: [shown.status(said)]),
            ),
            "uuid": ("show the current VM UUID", self._of("query-uuid", lambda said: [said["UUID"]])),
            "version": ("show the version of QEMU", self._version),
        }  # fmt: skip

    async def _call(self, name: str, **given: Any) -> Any:
        result = self._commands[name].handler(**given)
        return await result if inspect.isawaitable(result) else result

    def _plain(self, name: str) -> Act:
        async def act(given: list[str]) -> list[str]:
            await self._call(name)
            return []

        return act

    def _with_one(self, name: str, argument: str) -> Act:
        async def act(given: list[str]) -> list[str]:
            await self._call(name, **{argument: given[0]})
            return []

        return act

    def _of(self, name: str, show: Callable[[Any], list[str]]) -> Act:
        async def act(given: list[str]) -> list[str]:
            return show(await self._call(name))

        return act

    async def _version(self, given: list[str]) -> list[str]:
        qemu = VERSION["qemu"]
        return [f"{qemu['major']}.{qemu['minor']}.{qemu['micro']} ({VERSION['package']})"]

    async def _migrate(self, given: list[str]) -> list[str]:
        flags, rest = [each for each in given if each in ("-d", "-r")], [each for each in given if each[0] != "-"]
        if len(rest) != 1 or len(flags) + 1 != len(given):
            return ["migrate: string expected", 'Try "help migrate" for more information']
        await self._call("migrate", uri=rest[0], resume="-r" in flags)
        return []

    async def _choose_cpu(self, given: list[str]) -> list[str]:
        if not given[0].isdecimal() or int(given[0]) >= len(self._emulator.machine.cpus):
            return ["invalid CPU index"]
        self._cpu = int(given[0])
        return []

    async def _set_capability(self, given: list[str]) -> list[str]:
        name, state = given
        if name not in CAPABILITIES:
            return [f"Error: invalid parameter value: {name}"]
        if state not in ("on", "off"):
            return ["Expected 'on' or 'off'", 'Try "help migrate_set_capability" for more information']
        wanted = [{"capability": name, "state": state == "on"}]
        await self._call("migrate-set-capabilities", capabilities=wanted)
        return []

    async def _set_parameter(self, given: list[str]) -> list[str]:
        name, text = given
        if name not in NAMES:
            return [f"Error: invalid parameter value: {name}"]
        value: Any = text
        if name in (number.name for number in NUMBERS):
            if (match := _SIZE.fullmatch(text)) is None:
                return [f"Error: Parameter '{name}' expects a non-negative number below 2^64"]
            unit = match[2] or ("M" if name in _IN_MIB else "")
            value = int(match[1]) << _UNITS[unit]
        elif text in ("on", "off"):
            value = text == "on"
        await self._call("migrate-set-parameters", **{name.replace("-", "_"): value})
        return []

    async def _help(self, given: list[str]) -> list[str]:
        table = self._table()
        if not given:
            return [f"{names} {word.arguments} -- {word.help}" for names, word in table.items()]
        if given[0] == "info":
            return await self._info(given[1:] if len(given) > 1 else [])
        found = [names for names in table if given[0] in names.split("|")]
        return [f"{names} {table[names].arguments} -- {table[names].help}" for names in found] or [
            f"unknown command: '{given[0]}'"
        ]

    async def _info(self, given: list[str]) -> list[str]:
        if not given:
            return [f"info {name}  -- {text}" for name, (text, _) in self._infos.items()]
        name, *rest = given
        if name not in self._infos:
            return [f"unknown command: 'info {name}'"]
        if rest and name != "registers":
            return [f"{name}: extraneous characters at the end of line", f'Try "help info {name}" for more information']
        return await self._infos[name][1](rest)

    async def _cpus(self, given: list[str]) -> list[str]:
        return shown.cpus(await self._call("query-cpus-fast"), self._cpu)

    async def _registers(self, given: list[str]) -> list[str]:
        emulator, cpus = self._emulator, self._emulator.machine.cpus
        wanted = given[0] if given else str(self._cpu)
        if wanted != "-a" and not (wanted.isdecimal() and int(wanted) < len(cpus)):
            return [f"CPU#{wanted} not available"]

        def read(now: int) -> list[str]:
            machine = emulator.machine
            return shown.registers(machine, machine.cpus if wanted == "-a" else [machine.cpus[int(wanted)]], now)

        lines: list[str] = await emulator.look(read)
        return lines
