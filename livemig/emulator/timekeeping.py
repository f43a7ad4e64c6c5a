"""How well a guest's time is kept, as the side that runs it can tell while it runs; the judge knows more, and later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from livemig.config.model import Config
from livemig.machine.cpu import Cpu
from livemig.machine.machine import Machine
from livemig.machine.runstate import RunState
from livemig.migration.destination import Destination
from livemig.migration.side import Side
from livemig.timers.ticks import MASK64, NEVER
from livemig.timers.timebase import Timebase

if TYPE_CHECKING:
    from livemig.emulator.emulator import Emulator

_HERE: Final = (RunState.RUNNING, RunState.PAUSED, RunState.FINISH_MIGRATE, RunState.SHUTDOWN)


def timer(emulator: Emulator, now: int) -> dict[str, Any] | None:
    """What ``query-migrate`` says of the guest's timers; None: the guest is not here.

    ``worst-late-ns``: from when an interrupt fell due to its handler, in guest time, the longest on this side.
    ``lost``: CPUs whose interrupt was due at the stop or after it, and has not come although the guest has been running
    here for long enough; None where the guest did not cross. ``tb-error-ticks``: TB less what it would be had the guest
    never stood still; None where nobody knows when it booted.
    """
    machine = emulator.machine
    if machine.state not in _HERE or emulator.owner not in (machine.side, "none"):
        return None
    worst = max(_ns(cpu, cpu.worst_late) for cpu in machine.cpus)
    return {
        "worst-late-ns": worst,
        "lost": lost(emulator.side, machine, now, emulator.tuning.config.checks.lost_after),
        "tb-error-ticks": tb_error(emulator.tuning.config, machine, now),
    }


def tb_error(config: Config, machine: Machine, now: int) -> int | None:
    """Ticks by which TB at ``now`` is ahead of one that was never stopped; negative: behind. None: nobody knows when
    the guest booted."""
    if machine.booted_ns is None:
        return None
    world = Timebase(0, 0, machine.spec.timebase_hz)
    origin_ns = config.host.source.clock_origin
    if config.guest.sets_timebase:
        world = world.written(origin_ns, config.guest.sets_timebase)
    error = machine.time_state(now).tb() - world.read(origin_ns + now - machine.booted_ns) & MASK64
    return error - (error >> 63 << 64)


def lost(side: Side, machine: Machine, now: int, patience_ns: int) -> int | None:
    """CPUs whose interrupt crossed, and has not come ``patience_ns`` after it was due by the guest's own time."""
    if not isinstance(side, Destination) or side.crossed is None or side.resumed_ns is None:
        return None
    ran_ns = machine.clock_ns(now) - side.resumed_clock_ns
    missing = 0
    for cpu, due_ns in zip(machine.cpus, side.crossed["due_ns"], strict=False):
        waits = cpu.delivered == 0 and all(slot.raised is None for slot in cpu.slots)
        missing += waits and due_ns >= 0 and ran_ns > due_ns - side.crossed["stopped_ns"] + patience_ns
    return missing


def clocks(emulator: Emulator, now: int) -> dict[str, Any]:
    """``x-livemig-query-time``: the run's clock, and that of each CPU."""
    machine, clock = emulator.machine, emulator.clock
    return {
        "t-ns": now,
        "duration-ns": emulator.duration_ns,
        "clock": "virtual" if clock.virtual else "wall",
        "held": clock.virtual and emulator.is_held(),
        "timebase-hz": machine.spec.timebase_hz,
        "timer": timer(emulator, now),
        "cpus": [_cpu(machine, cpu, now) for cpu in machine.cpus],
    }


def _cpu(machine: Machine, cpu: Cpu, now: int) -> dict[str, Any]:
    time, slots = machine.time_state(now), cpu.slots
    names = machine.spec.facility.timers
    due = min(cpu.promised(slot) for slot in slots)
    running = machine.running and due < NEVER
    return {
        "cpu-index": cpu.index,
        "tb": time.tb(cpu.index),
        "decr": time.decr(cpu.index),
        "due-ns": cpu.timebase.instant(due) + now - time.clock_ns if running else None,
        "raised": [names[slot.index].name for slot in slots if slot.raised is not None],
        "interrupts": cpu.delivered,
        "worst-late-ns": _ns(cpu, cpu.worst_late),
        "waits-for-page": cpu.blocked_at is not None,
    }


def _ns(cpu: Cpu, ticks: int) -> int:
    return cpu.timebase.instant(ticks) - cpu.timebase.clock_ns
