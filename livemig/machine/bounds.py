"""What a machine can go on from: numbers of a snapshot that are of the right type and still no machine's.

Events hold times in signed 64 bits, guests count draws in unsigned 64: a peer's numbers must leave room for all that
is computed from them. Refused here, they are refused before switchover, and the guest goes on where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from livemig.errors import ProtocolError
from livemig.machine.cpu import Cpu
from livemig.machine.machine import Machine
from livemig.machine.snapshot import Snapshot
from livemig.machine.time_state import TimeState

_FURTHEST: Final = 1 << 61
"""ns or ticks: 73 years, if they are ns."""


def check_state(machine: Machine, snapshot: Snapshot) -> None:
    """Whether ``machine`` can take over the CPUs' registers, the guests and the memory workload.

    Raises:
        ProtocolError: it cannot.
    """
    for cpu, registers in zip(machine.cpus, snapshot.cpus, strict=True):
        _check_cpu(cpu, registers)
    run_ns, lags_ns = snapshot.memory["run_ns"], snapshot.memory["lags_ns"]
    _need("memory.run_ns", [run_ns], 1, 0, _FURTHEST)
    _need("memory.lags_ns", lags_ns, len(machine.cpus), 0, run_ns)


def check_time(state: TimeState, t_ns: int) -> None:
    """Whether every instant that ``state``, to be resumed at ``t_ns``, speaks of can be logged.

    Raises:
        ProtocolError: one cannot.
    """
    _need("timebase.clock_ns", [state.clock_ns], 1, -_FURTHEST, _FURTHEST)
    for number, timer in enumerate(state.timers):
        timebase = state.timebases[state.cpu_of(number)]
        here = timebase.ticks(state.clock_ns)
        ticks = [each for each in (timer.count.expiry, timer.pending, timer.line) if each is not None]
        _need("timers", [tick - here for tick in ticks], len(ticks), -_FURTHEST, _FURTHEST)
        _need("timers", [here, *ticks], len(ticks) + 1, -_FURTHEST, _FURTHEST)
        away = [timebase.instant(tick) - state.clock_ns + t_ns for tick in ticks]
        _need("timers", away, len(ticks), -_FURTHEST, _FURTHEST)


def _check_cpu(cpu: Cpu, registers: dict[str, Any]) -> None:
    count = len(cpu.slots)
    for name, low, many in (("step_in", -1, count), ("entering", 0, count), ("unmask_in", -1, 2)):
        _need(f"cpu.{name}", registers[name], many, low, _FURTHEST)
    entries = [0 if slot is not cpu.main or cpu.guest.entry is None else _FURTHEST for slot in cpu.slots]
    if any(entering > most for entering, most in zip(registers["entering"], entries, strict=True)):
        raise ProtocolError("snapshot", "cpu.entering", "a handler of the guest here writes nothing at its entry")
    _need("cpu.mask_in", [registers["mask_in"]], 1, -1, _FURTHEST)
    if cpu.guest.has_thread:
        _need("cpu.thread_in", [registers.get("thread_in")], 1, -1, _FURTHEST)
    _need("cpu.spr", registers["spr"], len(cpu.spr), 0, (1 << 64) - 1)
    _check_guest("cpu.guest", registers["guest"], cpu.guest.most)


def _check_guest(field: str, saved: Any, most: Mapping[str, Any]) -> None:
    if type(saved) is not dict or saved.keys() != most.keys():
        raise ProtocolError("snapshot", field, f"is not of {', '.join(most)}, as the guest here has it")
    for name, greatest in most.items():
        if isinstance(greatest, Mapping):
            _check_guest(f"{field}.{name}", saved[name], greatest)
        elif not isinstance(greatest, bool):
            _need(f"{field}.{name}", [saved[name]], 1, 0, greatest)
        elif type(saved[name]) is not bool:
            raise ProtocolError("snapshot", f"{field}.{name}", "is not true or false")


def _need(field: str, values: list[Any], count: int, low: int, high: int) -> None:
    if len(values) != count:
        raise ProtocolError("snapshot", field, f"{len(values)} numbers where {count} are due")
    for value in values:
        if type(value) is not int or not low <= value <= high:
            raise ProtocolError("snapshot", field, f"{value!r:.40} is not a number from {low} to {high}")
