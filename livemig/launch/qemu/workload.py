"""What of a configuration a real QEMU can be made to do, and what it cannot."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from livemig.config.fault import LinkFault
from livemig.config.model import Config
from livemig.config.presets import PRESETS
from livemig.errors import ConfigError
from livemig.launch.qemu.binary import MODELS, Binary, frequencies
from livemig.launch.qemu.guest import BASE, PAGE, Orders

_NS_PER_S: Final = 1_000_000_000
_MIB: Final = 1 << 20
_RAM_STEP: Final = {"g3beige": 32 * _MIB, "mac99": 32 * _MIB, "pseries": 256 * _MIB}
"""pseries has its memory in blocks of that size; on the Macs livemig's guest needs a little above 16 MiB."""
_LONGEST: Final = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Workload:
    """The guest of one run. ``orders``: livemig's own guest; None: that of ``kernel``."""

    machine: str
    cpus: int
    ram_mib: int
    timebase_hz: int
    orders: Orders | None
    kernel: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()


def workload(config: Config, config_file: str, source: Binary) -> Workload:
    """The guest that ``config`` asks for, as QEMU gets it.

    Raises:
        ConfigError: QEMU, or its guest, cannot do it; names the first such key.
    """
    for key, problem, allowed in _refused(config):
        raise ConfigError(config_file, key, f"{problem}, with engine.kind = 'qemu'", allowed)
    machine, engine = config.machine, config.engine
    hz = source.timebase_hz(machine.model)
    return Workload(
        machine.model,
        machine.cpus,
        machine.ram // _MIB,
        hz,
        None if engine.kernel else _orders(config, config_file, hz),
        tuple(_kernel(config)),
        ("-mem-prealloc",) * machine.prealloc + tuple(shlex.split(engine.arguments)),
    )


def _orders(config: Config, config_file: str, hz: int) -> Orders:
    guest, memory = config.guest, config.guest.memory
    period = guest.periodic.period * hz // _NS_PER_S
    if not 0 < period <= _LONGEST:
        raise ConfigError(config_file, "guest.periodic.period", f"is {period} ticks at {hz} Hz", f"1 to {_LONGEST}")
    room = config.machine.ram - BASE
    dirty = round(memory.dirty_rate * guest.periodic.period / _NS_PER_S / PAGE)
    return Orders(
        period,
        drift_free=guest.periodic.rearm == "drift-free",
        dirty_pages=dirty,
        anywhere=memory.locality == "uniform",
        working_set=min(room, config.machine.ram * memory.working_set_percent // 100),
        filled=min(room, config.machine.ram * memory.filled_percent // 100) // 4 * 4,
        masked_loops=config.engine.masked_loops,
        set_timebase=guest.sets_timebase,
    )


def _kernel(config: Config) -> Iterator[str]:
    engine = config.engine
    for option, value in (("-kernel", engine.kernel), ("-initrd", engine.initrd), ("-append", engine.append)):
        if value:
            yield from (option, value)


Refusal = tuple[str, str, str]
"""Key, problem, what is allowed."""


def _refused(config: Config) -> Iterator[Refusal]:
    yield from _machine_refused(config)
    if config.engine.kernel:
        yield from _kernel_refused(config)
    else:
        yield from _guest_refused(config)
    if config.engine.at_stop != "any" and config.engine.method == "live":
        yield "engine.at_stop", "cannot be arranged in a live migration", "any, or engine.method = 'stop-and-copy'"
    if config.run.rate != 1:
        yield "run.rate", "QEMU's time goes as the host's", "1"
    if config.checks.twin:
        yield "checks.twin", "a real QEMU does not run twice alike", "false"
    untouched = type(config.host)()
    if config.host != untouched:
        key = next(name for name in type(config.host).model_fields if _of(config.host, name) != _of(untouched, name))
        yield f"host.{key}", "both QEMUs run on this host, with its clocks", "the default"
    yield from _faults_refused(config)
    for name, known in (("migration", _MIGRATION), ("link", _LINK), ("run", _RUN)):
        table = _of(config, name)
        default = type(table)()
        for key in type(table).model_fields:  # type: ignore[attr-defined]
            if key not in known and _of(table, key) != _of(default, key):
                yield f"{name}.{key}", "a real QEMU is not given that", "the default"


_MIGRATION: Final = {
    "strategy",  # QEMU has its own
    "time_policy", "start", "downtime", "downtime_limit", "max_bandwidth", "avail_switchover_bandwidth",
    "auto_converge", "throttle_trigger_threshold", "cpu_throttle_initial", "cpu_throttle_increment",
    "cpu_throttle_tailslow", "max_cpu_throttle", "cancel_at", "connect_timeout", "transport",
}  # fmt: skip
_LINK: Final = {"bandwidth", "latency", "jitter"}
_RUN: Final = {"seed", "duration", "clock", "rate"}


def _faults_refused(config: Config) -> Iterator[Refusal]:
    for name, fault in config.fault:
        if not fault.enabled:
            continue
        if not isinstance(fault, LinkFault):
            yield f"fault.{name}.enabled", "acts on livemig's own emulator and hosts", "false, or a fault of the link"
        elif fault.before:
            yield f"fault.{name}.before", "QEMU's stream has no such frames", "nothing, and `start`"


def _machine_refused(config: Config) -> Iterator[Refusal]:
    machine = config.machine
    if machine.model not in MODELS:
        yield "machine.model", f"livemig does not run QEMU's {machine.model}", ", ".join(MODELS)
        return
    preset = PRESETS[machine.model]
    known = sorted(frequencies(machine.model))
    if machine.timebase_hz not in known:
        yield "machine.timebase_hz", f"{machine.timebase_hz} Hz is none of {machine.model}'s", f"{known} Hz"
    for key, value in preset.items():
        if key not in ("timebase_hz", "reset_decrementer") and _of(machine, key) != value:
            yield f"machine.{key}", f"{_of(machine, key)!r} is not that of QEMU's {machine.model}", repr(value)
    step = _RAM_STEP[machine.model]
    if machine.ram % step:
        yield "machine.ram", "does not suit the machine", f"a multiple of {step // _MIB}MiB"
    if machine.cpus > 1 and machine.model != "pseries":
        yield "machine.cpus", f"QEMU's {machine.model} has one", "1"


def _kernel_refused(config: Config) -> Iterator[Refusal]:
    for key, table in (("engine.masked_loops", config.engine), ("guest.sets_timebase", config.guest)):
        if _of(table, key.partition(".")[2]):
            yield key, "is for livemig's guest, not for a kernel of your own", "0"
    if config.engine.at_stop != "any":
        yield "engine.at_stop", "is for livemig's guest, not for a kernel of your own", "any"


def _guest_refused(config: Config) -> Iterator[Refusal]:
    guest, engine, default = config.guest, config.engine, type(config.guest)()
    for key in ("initrd", "append"):
        if _of(engine, key):
            yield f"engine.{key}", "is for a kernel of your own", "nothing, or engine.kernel too"
    if config.machine.cpus > 1:
        yield "machine.cpus", "livemig's guest for QEMU runs on one", "1, or engine.kernel for a guest of your own"
    if guest.kind != "periodic":
        yield "guest.kind", f"livemig's guest for QEMU is not {guest.kind!r}", "periodic, or engine.kernel"
    for key in ("handler_time", "arm_delay", "boot_interval"):
        if _of(guest, key) != _of(default, key):
            yield f"guest.{key}", "a real guest takes the time that it takes", "the default"
    if guest.masked_every:
        yield "guest.masked_every", "livemig's guest for QEMU masks by engine.masked_loops", "0ns"
    if guest.memory.locality == "hot":
        yield "guest.memory.locality", "livemig's guest for QEMU has no hot part", "uniform, sequential"


def _of(table: object, key: str) -> object:
    return getattr(table, key)
