"""What a strategy saved, in the parts that it is sent in, and what becomes of a part that did not come.

An older machine version has no place for some parts (``livemig.machine.version``): then a destination does what QEMU
of that age did.
"""

from __future__ import annotations

from dataclasses import replace

from livemig.machine.cpu import TimerState
from livemig.machine.snapshot import TimeParts
from livemig.machine.time_state import HostView, TimeState
from livemig.machine.version import MachineVersion
from livemig.strategies.strategy import Each, Saved, Strategy

INTERRUPTS = ("pending", "line")
"""Of what is saved for each timer: ticks since its interrupt and its level line are up, -1 where they are down."""


def parts(strategy: Strategy, saved: Saved, form: MachineVersion) -> TimeParts:
    """``saved`` as ``form`` sends it. What is pending is a subsection, and sent only if anything is."""
    timers = {name: saved[name] for name in _of_timers(strategy)}
    pending = {name: saved[name] for name in INTERRUPTS if name in strategy.fields}
    rest = {name: saved[name] for name in saved if name not in timers and name not in pending}
    said = form.interrupts and any(since >= 0 for each in pending.values() for since in each)
    return TimeParts(rest, timers if form.timers else None, pending if said else None)


def lost(strategy: Strategy, saved: Saved, form: MachineVersion) -> list[str]:
    """What ``form`` has no place for, of what there is to send: ``timers``, ``pending``."""
    there = {
        "timers": bool(_of_timers(strategy)),
        "pending": any(since >= 0 for name in INTERRUPTS for since in saved.get(name, ())),
    }
    return [name for name in form.lacks() if there[name]]


def joined(strategy: Strategy, sent: TimeParts, cpus: int, per_cpu: int) -> Saved:
    """What the strategy saved, from its parts, for a machine of ``cpus`` CPUs with ``per_cpu`` timers each: nothing is
    pending that was not said to be, and a count that was not sent stands as 0."""
    timers = cpus * per_cpu
    saved = sent.together()
    for name in _of_timers(strategy) if sent.timers is None else ():
        saved[name] = [0] * timers
    for name in INTERRUPTS if sent.pending is None else ():
        if name in strategy.fields:
            saved[name] = [-1] * (cpus if strategy.fields[name].each is Each.CPU else timers)
    return saved


def restore(strategy: Strategy, fresh: TimeState, saved: Saved, host: HostView, form: MachineVersion) -> TimeState:
    """The strategy's restore of what ``joined`` gave. Without counts the machine keeps its start-up timers, points on
    the virtual clock (QEMU 7.2). With counts alone, a level timer that reads negative raises as it is stored, and an
    edge timer's interrupt is forgotten (QEMU ``cpu_ppc_store_decr`` in ``cpu_post_load``, 8.2)."""
    time = strategy.restore(fresh, saved, host)
    if not _of_timers(strategy):
        return time
    if not form.timers:
        return replace(time, timers=_start_up(fresh, time))
    if not form.interrupts:
        return replace(time, timers=tuple(_stored(time, i) for i in range(len(time.timers))))
    return time


def _of_timers(strategy: Strategy) -> list[str]:
    return [name for name, number in strategy.fields.items() if number.each is Each.TIMER and name not in INTERRUPTS]


def _start_up(fresh: TimeState, time: TimeState) -> tuple[TimerState, ...]:
    timers = []
    for i, state in enumerate(fresh.timers):
        cpu = fresh.cpu_of(i)
        shift = time.ticks(cpu) - fresh.timebases[cpu].ticks(time.clock_ns)
        pending, line = (None if tick is None else tick + shift for tick in (state.pending, state.line))
        timers.append(TimerState(state.count._replace(expiry=state.count.expiry + shift), pending, line))
    return tuple(timers)


def _stored(time: TimeState, timer: int) -> TimerState:
    state, index = time.timers[timer], timer % time.per_cpu
    if not time.facility.timers[index].level or time.reading(timer) >= 0:
        return state
    due = min(state.count.expiry + time.facility.lag(index), time.ticks(time.cpu_of(timer)))
    return TimerState(state.count._replace(armed=False), due, due)
