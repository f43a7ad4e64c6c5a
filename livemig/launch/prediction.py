"""What the model says a migration makes of the time: from the state at the stop to that after the restore.

``livemig predict`` (a capture of a real QEMU) and ``livemig crosscheck`` (a configuration, run by both engines) call
:func:`restored`. It is the emulator's own :class:`Machine` and the strategies' own ``save`` and ``restore``; nothing
of them is stated anew here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from livemig.events.schema import DESTINATION, SOURCE
from livemig.guests.memory import MemoryWorkload
from livemig.guests.periodic import Periodic
from livemig.machine.cpu import TimerState
from livemig.machine.machine import Machine, MachineSpec
from livemig.machine.ram import PAGE
from livemig.machine.runstate import RunState
from livemig.machine.time_state import Host, TimeState
from livemig.strategies.table import STRATEGIES
from livemig.timers.decrementer import Decrementer
from livemig.timers.ticks import MASK64, ns_to_ticks

_NO_WRITES = MemoryWorkload(0, 1, 0, "uniform", 1, 1, 0, 0)
_SAME_HOSTS = Host(), Host()


class CpuAtStop(NamedTuple):
    """A stopped CPU.

    Args:
        tb: TB as it reads it, 0 … 2^64-1. decr: DECR, signed.
        pending: its interrupt was raised, and not taken. armed: its timer runs, and raises when DECR reads 0.
    """

    tb: int
    decr: int
    pending: bool = False
    armed: bool = True


@dataclass(frozen=True, slots=True)
class AtStop:
    """A stopped machine's time. ``clock_ns``: its virtual clock, of which TB is made; a TB that differs from the
    ticks of that clock was set by the guest."""

    clock_ns: int
    cpus: tuple[CpuAtStop, ...]


class CpuRestored(NamedTuple):
    """A CPU at the instant the destination resumes.

    Args:
        tb, decr: as it reads them. found: DECR before anything was restored, as the start-up left it.
        pending: an interrupt waits for MSR[EE]. due_in: ticks from the resume until its timer raises one, not
            negative; None: never.
    """

    tb: int
    decr: int
    found: int
    pending: bool
    due_in: int | None


class Rules(NamedTuple):
    """By which strategy DECR and its interrupt are restored, and by which TB is."""

    decr: str
    tb: str


def restored(
    stop: AtStop,
    source: MachineSpec,
    destination: MachineSpec,
    rules: Rules,
    blackout_ns: int = 0,
    hosts: tuple[Host, Host] = _SAME_HOSTS,
) -> tuple[CpuRestored, ...]:
    """Every CPU after the restore, by the model.

    Args:
        stop: the source at its stop. source, destination: the machines; they may differ in the frequency of the
            timebase and in what a reset leaves in DECR.
        rules: names of ``STRATEGIES``; the same one twice for what one strategy does.
        blackout_ns: from the stop to the resume, by the true time. hosts: the clocks of the source's and the
            destination's host; t = 0 is the stop.
    """
    machine = _at_reset(SOURCE, source)
    machine.load_time(_stopped(machine.time_state(0), stop))
    by_decr, by_tb = (
        _crossed(machine, _at_reset(DESTINATION, destination), name, blackout_ns, hosts) for name in rules
    )
    target = _at_reset(DESTINATION, destination)
    started = replace(target.time_state(0), clock_ns=by_tb.clock_ns)
    found = [started.decr(cpu) for cpu in started.cpus]
    target.load_time(_merged(by_decr, by_tb))
    return _shown(target, found)


def _at_reset(side: str, spec: MachineSpec) -> Machine:
    """A machine as its reset leaves it, with as little RAM as there can be."""
    guests = [Periodic(1, False, 0, 0, 0) for _ in range(spec.cpus)]
    state = RunState.PRELAUNCH if side == SOURCE else RunState.INMIGRATE
    return Machine(side, replace(spec, ram_bytes=PAGE), guests, _NO_WRITES, state=state)


def _stopped(fresh: TimeState, stop: AtStop) -> TimeState:
    timebases = []
    states = []
    for cpu, timebase in zip(stop.cpus, fresh.timebases, strict=True):
        bare = ns_to_ticks(timebase.hz, stop.clock_ns)
        timebases.append(replace(timebase, value=cpu.tb - bare & MASK64, clock_ns=0))
        expiry = bare + cpu.decr
        pending = min(expiry, bare) if cpu.pending else None
        line = pending if fresh.facility.main.level and cpu.decr < 0 else None
        states.append(TimerState(Decrementer(expiry, cpu.armed and not cpu.pending), pending, line))
    return replace(fresh, clock_ns=stop.clock_ns, timebases=tuple(timebases), timers=tuple(states))


def _crossed(source: Machine, target: Machine, name: str, blackout_ns: int, hosts: tuple[Host, Host]) -> TimeState:
    """By one strategy."""
    strategy = STRATEGIES[name]
    saved = strategy.check(
        strategy.save(source.time_state(0), hosts[0].at(0)), len(source.cpus), source.time_state(0).per_cpu
    )
    return strategy.restore(target.time_state(0), saved, hosts[1].at(blackout_ns))


def _merged(by_decr: TimeState, by_tb: TimeState) -> TimeState:
    """The decrementers of the one on the timebases of the other, which may count from another tick."""
    states = []
    for cpu, state in enumerate(by_decr.timers):
        states.append(state.shifted(by_tb.ticks(cpu) - by_decr.ticks(cpu)))
    return replace(by_tb, timers=tuple(states))


def _shown(target: Machine, found: Sequence[int]) -> tuple[CpuRestored, ...]:
    """What its log would say of it, in ticks."""
    time, pending = target.time_state(0), target.facts(0)["pending"]
    assert isinstance(pending, list)
    each = []
    for cpu, arm in enumerate(target.arms(0)):
        deadline_ns = arm["deadline_ns"]
        due_in = None
        if isinstance(deadline_ns, int):
            due_in = max(0, time.timebases[cpu].ticks(deadline_ns + time.clock_ns) - time.ticks(cpu))
        each.append(CpuRestored(time.tb(cpu), time.decr(cpu), found[cpu], bool(pending[cpu]), due_in))
    return tuple(each)
