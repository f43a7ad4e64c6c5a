"""From a configuration to the parts of an emulator."""

from __future__ import annotations

import time
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from livemig.clock.clock import Clock, VirtualClock, WallClock
from livemig.config.migration import TIME_POLICY, Migration
from livemig.config.model import Config
from livemig.config.presets import MachineVersionName
from livemig.emulator.timers import embedded, facility
from livemig.events.schema import DESTINATION, SOURCE
from livemig.guests.darwin import Darwin
from livemig.guests.guest import Guest
from livemig.guests.linux import Linux
from livemig.guests.memory import MemoryWorkload
from livemig.guests.periodic import Periodic
from livemig.link.model import LinkModel
from livemig.machine.machine import Machine, MachineSpec
from livemig.machine.ram import PAGE, Ram
from livemig.machine.runstate import RunState
from livemig.machine.slot import Masking
from livemig.machine.time_state import Host
from livemig.machine.version import VERSIONS
from livemig.migration.frames import MAX_PAGES
from livemig.migration.settings import Convergence, Encodings, Postcopy, Settings, Throttling
from livemig.timers.ticks import NEVER, NS_PER_S

if TYPE_CHECKING:
    from livemig.guests.trace import Arm
    from livemig.link.faults.link import FaultyLink

_CHUNK_PAGES = 256
_CHUNK_NS = 10_000_000
"""A frame of pages takes about this long on the link at most, so that nothing waits long behind one."""
_LARGE_CHUNK_NS = 1_000_000
"""And on a fast link, where what a frame costs the hosts counts, it has as many more pages as take this long."""
_BOOT_NS = 10_000
"""From power-on to the first CPU's start."""
_CATCH_UP_NS = 2_000_000
"""How late a sleeping task wakes on a host that has other work, or thereabouts."""


def spec(config: Config, side: str = SOURCE) -> MachineSpec:
    """What both sides must agree on, as ``side`` has it."""
    machine = config.machine
    there = config.host.destination.timebase_hz if side == DESTINATION else 0
    return MachineSpec(machine.model, machine.cpus, machine.ram, there or machine.timebase_hz, facility(config))


def machine(config: Config, side: str, born_ns: int = 0, ram: Ram | None = None) -> Machine:
    """The machine of ``side``: at reset, its virtual clock where its host has it.

    Args:
        born_ns: when it is made; one that is made later than at the start waits for a guest. ram: to have for its own.

    Raises:
        InputError: the trace to be replayed cannot be read.
    """
    source = side == SOURCE
    if ram is None:
        ram = Ram(config.machine.ram)
        if config.machine.prealloc:
            ram.populate()
    return Machine(
        side,
        spec(config, side),
        [_guest(config, cpu) for cpu in range(config.machine.cpus)],
        _workload(config),
        clock_ns=host(config, side).clock_origin_ns,
        masking=_masking(config),
        state=RunState.PRELAUNCH if source and not born_ns else RunState.INMIGRATE,
        guest_tb=config.guest.sets_timebase or None,
        born_ns=born_ns,
        ram=ram,
    )


def host(config: Config, side: str) -> Host:
    """The host of ``side``; the source's time of day is the true one."""
    own = config.host.source if side == SOURCE else config.host.destination
    skew = 0 if side == SOURCE else config.host.clock_skew
    step, drift = config.fault.clock_step, config.fault.clock_drift
    stepped = (step.at, step.by) if step.enabled and step.side == side else (0, 0)
    drifting = (drift.at, drift.ppm) if drift.enabled and drift.side == side else (0, 0)
    return Host(skew, own.tick_hz, own.tick_origin, own.clock_origin, stepped, drifting)


def link(config: Config, side: str) -> LinkModel | FaultyLink:
    """The link as ``side`` sends on it."""
    seed = config.run.seed * 2 + (side == SOURCE)
    catch_up = 0 if config.run.clock == "virtual" else _CATCH_UP_NS
    latency = (config.link.return_latency if side == DESTINATION else 0) or config.link.latency
    model = LinkModel(config.link.bandwidth, latency, config.link.jitter, seed, catch_up)
    if _faultless(config):
        return model
    from livemig.emulator.faults import faulty

    return faulty(config, side, model)


def answer_ns(config: Config) -> int:
    """The host time that an answer of the peer may take because of the link: in virtual time none."""
    if config.run.clock == "virtual":
        return 0
    there_and_back = config.link.latency + (config.link.return_latency or config.link.latency)
    return int((there_and_back + 2 * config.link.jitter) / config.run.rate) + 2 * fault_delay_ns(config)


def fault_delay_ns(config: Config) -> int:
    """The host time by which faults may hold up a frame, one way: in virtual time none."""
    if config.run.clock == "virtual" or _faultless(config):
        return 0
    from livemig.emulator.faults import longest_delay_ns

    return int(longest_delay_ns(config.fault) / config.run.rate)


def _faultless(config: Config) -> bool:
    """Nearly always; then what makes faults is not imported."""
    return bool(config.fault == type(config.fault).untouched())


def settings(config: Config) -> Settings:
    """``[migration]``."""
    migration = config.migration
    pages_a_second = config.link.bandwidth // 8 // PAGE
    chunk = pages_a_second * _CHUNK_NS // NS_PER_S
    large = min(pages_a_second * _LARGE_CHUNK_NS // NS_PER_S, MAX_PAGES)
    return Settings(
        downtime_ns=migration.downtime,
        max_passes=min(migration.max_passes, migration.postcopy_start or 1) if migration.postcopy_ram
        else migration.max_passes,
        postcopy=_postcopy(config),
        advance_at_most_ns=TIME_POLICY.at_most_ns(migration.time_policy),
        chunk_pages=min(max(chunk, 1), max(large, _CHUNK_PAGES)),
        form=VERSIONS[get_args(MachineVersionName).index(migration.machine_version)],
        convert_frequency=migration.frequency_policy == "convert",
        convergence=_convergence(migration),
        max_bandwidth=migration.max_bandwidth,
        avail_switchover_bandwidth=migration.avail_switchover_bandwidth,
        throttling=_throttling(migration),
        encodings=Encodings(
            xbzrle=migration.xbzrle,
            cache_size=migration.xbzrle_cache_size,
            zstd=migration.compression == "zstd",
            zstd_level=migration.zstd_level,
        ),
        save_step_ns=migration.save_step,
        load_step_ns=migration.load_step,
        pause_before_switchover=migration.pause_before_switchover,
        cancel_at_ns=migration.cancel_at or None,
    )


def _convergence(migration: Migration) -> Convergence:
    return Convergence(
        policy=migration.convergence,
        limit_ns=migration.downtime_limit,
        steps=migration.downtime_steps,
        delay_ns=migration.downtime_delay,
        ramp_start_ns=migration.ramp_start,
        ramp_after=migration.ramp_after,
        ramp_step_ns=migration.ramp_step,
        ramp_cooldown_ns=migration.ramp_cooldown,
        ramp_limit_ns=migration.ramp_limit,
        stall_passes=migration.stall_passes,
    )


def _postcopy(config: Config) -> Postcopy:
    migration = config.migration
    return Postcopy(
        enabled=migration.postcopy_ram,
        passes=migration.postcopy_start,
        at_ns=migration.postcopy_at or None,
        preempt=migration.postcopy_preempt,
        max_bandwidth=migration.max_postcopy_bandwidth,
        prepaging=migration.prepaging,
        promises=config.run.clock == "virtual",
        recover_after_ns=migration.recover_after or None,
        lookahead_ns=min(config.link.latency, config.link.return_latency or config.link.latency),
    )


def cuts(config: Config) -> list[int]:
    """When the link breaks."""
    return sorted(at for at in (config.link.cut_at, config.link.cut_again_at) if at)


def _throttling(migration: Migration) -> Throttling:
    return Throttling(
        auto_converge=migration.auto_converge,
        trigger_threshold=migration.throttle_trigger_threshold,
        initial=migration.cpu_throttle_initial,
        increment=migration.cpu_throttle_increment,
        tailslow=migration.cpu_throttle_tailslow,
        maximum=migration.max_cpu_throttle,
        dirty_limit=migration.dirty_limit,
        vcpu_dirty_limit=migration.vcpu_dirty_limit,
    )


def clock(config: Config, epoch_ns: int | None = None) -> Clock:
    """The run's clock. ``epoch_ns``: of a wall clock, ``time.monotonic_ns()`` at t = 0; now, if None."""
    if config.run.clock == "virtual":
        return VirtualClock()
    return WallClock(time.monotonic_ns() if epoch_ns is None else epoch_ns, Fraction(config.run.rate))


def ticks(config: Config, ns: int) -> int:
    """A length of time in ticks of the timebase, rounded up."""
    return -(-ns * config.machine.timebase_hz // NS_PER_S)


def _guest(config: Config, cpu: int) -> Guest:
    kind = config.guest.kind
    arm, handler = ticks(config, config.guest.arm_delay), ticks(config, config.guest.handler_time)
    if kind == "embedded":
        return embedded(config, arm, handler, _boot_ticks(config, cpu))
    if kind == "hypervisor":
        from livemig.guests.hypervisor import Hypervisor

        hypervisor = config.guest.hypervisor
        slice_ticks = ticks(config, hypervisor.slice)
        inner = _decrementer_guest(config, hypervisor.guest, cpu)
        return Hypervisor(inner, slice_ticks, ticks(config, hypervisor.nap_every), arm, handler)
    if kind == "script":
        from livemig.config.script import parse
        from livemig.guests.script import ScriptGuest

        timers = tuple(timer.name for timer in facility(config).timers)
        return ScriptGuest(parse(config.guest.script.lines), timers, partial(ticks, config), arm, handler)
    return _decrementer_guest(config, kind, cpu)


def _boot_ticks(config: Config, cpu: int) -> int:
    """CPUs come up one after the other, a little apart, as they do."""
    return ticks(config, _BOOT_NS + config.guest.boot_interval * cpu)


def _decrementer_guest(config: Config, kind: str, cpu: int) -> Guest:
    guest = config.guest
    seed = config.run.seed + 0x1000003 * (cpu + 1)
    arm, handler = ticks(config, guest.arm_delay), ticks(config, guest.handler_time)
    boot = _boot_ticks(config, cpu)
    if kind == "darwin":
        low, high = ticks(config, guest.darwin.min), ticks(config, guest.darwin.max)
        return Darwin(seed, low, high, guest.darwin.distribution == "skewed", arm, handler, boot)
    if kind == "periodic":
        drift_free = guest.periodic.rearm == "drift-free"
        return Periodic(ticks(config, guest.periodic.period), drift_free, arm, handler, boot)
    if kind == "linux":
        linux = guest.linux
        tick = ticks(config, linux.tick)
        return Linux(seed, tick, linux.idle_per_mille, linux.decrementer_max, arm, handler, boot)
    from livemig.guests.trace import TraceGuest  # what it imports, no other guest does

    traces = _traces(Path(guest.trace.file))
    return TraceGuest(traces[cpu % len(traces)], guest.trace.repeat, boot)


@cache
def _traces(path: Path) -> list[list[Arm]]:
    from livemig.events.qemu_trace import decrementer_stores
    from livemig.guests.trace import arms_of

    return [arms_of(stores) for stores in decrementer_stores(path)]


def _masking(config: Config) -> Masking:
    guest = config.guest
    if not guest.masked_every or not guest.masked_for:
        return Masking(NEVER)
    return Masking(ticks(config, guest.masked_every), ticks(config, guest.masked_for))


def _workload(config: Config) -> MemoryWorkload:
    memory, burst = config.guest.memory, config.fault.dirty_burst
    pages = config.machine.ram // PAGE
    working_set = max(pages * memory.working_set_percent // 100, 1)
    return MemoryWorkload(
        seed=config.run.seed ^ 0x3E3,
        cpus=config.machine.cpus,
        rate=memory.dirty_rate,
        locality=memory.locality,
        working_set=working_set,
        hot=max(working_set * memory.hot_percent // 100, 1),
        hot_share=memory.hot_share_percent,
        filled=memory.filled_percent,
        burst=(burst.at, burst.duration, burst.rate) if burst.enabled else (0, 0, 0),
    )
