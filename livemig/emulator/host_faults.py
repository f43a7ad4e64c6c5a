"""What ``[fault]`` has for a host: when it does not run the emulator, and when that dies."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from typing import TYPE_CHECKING, NamedTuple

from livemig.config.fault import Faults
from livemig.timers.ticks import NEVER

if TYPE_CHECKING:
    from livemig.emulator.emulator import Emulator


class Standstill(NamedTuple):
    """From ``begin_ns`` to ``end_ns`` the host does not run the emulator, because of ``fault``."""

    begin_ns: int
    end_ns: int
    fault: str


def standstills(faults: Faults, side: str) -> Iterator[Standstill]:
    """Those of ``side``, in order; where two overlap they are one, of the fault that began."""
    last: Standstill | None = None
    for each in merge(_pause(faults, side), _stolen(faults, side)):
        if last is None or each.begin_ns > last.end_ns:
            if last is not None:
                yield last
            last = each
        else:
            last = last._replace(end_ns=max(last.end_ns, each.end_ns))
    if last is not None:
        yield last


def kill_ns(faults: Faults, side: str) -> int:
    """When the emulator of ``side`` is killed; NEVER if it is not."""
    return faults.kill.at if faults.kill.enabled and faults.kill.side == side else NEVER


def clocks(faults: Faults, side: str) -> list[tuple[int, str]]:
    """When the clock of ``side`` begins to be wrong, and by which fault."""
    known = {"clock_step": faults.clock_step, "clock_drift": faults.clock_drift}
    return sorted((fault.at, name) for name, fault in known.items() if fault.enabled and fault.side == side)


def stand(emulator: Emulator, now: int, fault: str) -> None:
    """Its host does not run ``emulator`` any more; every CPU has run to ``now``."""
    emulator.emit(now, "host_stopped", fault=fault)
    emulator.machine.hold(now)


def go_on(emulator: Emulator, now: int, fault: str, stood_ns: int) -> None:
    """It does again."""
    for cpu in emulator.machine.cpus:
        emulator.machine.run_cpu(cpu, now)
    emulator.machine.let_go(now)
    emulator.emit(now, "host_continued", fault=fault, stood_ns=stood_ns)


def _pause(faults: Faults, side: str) -> Iterator[Standstill]:
    pause = faults.pause
    if pause.enabled and pause.side == side:
        yield Standstill(pause.at, pause.at + pause.duration, "pause")


def _stolen(faults: Faults, side: str) -> Iterator[Standstill]:
    """The first part of every period."""
    steal = faults.steal
    if not steal.enabled or steal.side != side:
        return
    stolen = max(steal.period * steal.percent // 100, 1)
    end = steal.at + steal.duration
    for begin in range(steal.at, end, steal.period):
        yield Standstill(begin, min(begin + stolen, end), "steal")
