"""Keys that are each right and together wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from livemig.config.fault import LinkFault
from livemig.config.presets import EMBEDDED, PRESETS
from livemig.config.script import parse
from livemig.config.units import TIME

if TYPE_CHECKING:
    from livemig.config.migration import Migration
    from livemig.config.model import Config


class Conflict(NamedTuple):
    """Why the values of ``keys`` cannot stand together, and what could; the first is the likely culprit."""

    keys: tuple[str, ...]
    problem: str
    allowed: str


def conflicts(config: Config) -> Iterator[Conflict]:
    """All conflicts in ``config``."""
    guest = config.guest
    if config.migration.hops > 1 and config.migration.transport == "file":
        yield Conflict(
            ("migration.hops", "migration.transport"),
            "a guest does not come back from a file",
            "migration.hops = 1, or another migration.transport",
        )
    if config.migration.hops > 1 and config.migration.postcopy_ram:
        yield Conflict(
            ("migration.hops", "migration.postcopy_ram"),
            "a guest hops by precopy",
            "migration.hops = 1, or migration.postcopy_ram = false",
        )
    if config.migration.start >= config.run.duration:
        yield _order("migration.start", config.migration.start, "<", "run.duration", config.run.duration)
    yield from _migration(config.migration)
    if config.link.cut_again_at and config.link.cut_again_at <= config.link.cut_at:
        yield _order("link.cut_at", config.link.cut_at, "<", "link.cut_again_at", config.link.cut_again_at)
    if guest.arm_delay > guest.handler_time:
        yield _order("guest.arm_delay", guest.arm_delay, "<=", "guest.handler_time", guest.handler_time)
    if guest.masked_every and guest.masked_for >= guest.masked_every:
        yield _order("guest.masked_for", guest.masked_for, "<", "guest.masked_every", guest.masked_every)
    if guest.darwin.min > guest.darwin.max:
        yield _order("guest.darwin.min", guest.darwin.min, "<=", "guest.darwin.max", guest.darwin.max)
    yield from _timers(config)
    yield from _faults(config)
    ticks, bits = guest.linux.decrementer_max, config.machine.decrementer_bits
    if "linux" in (guest.kind, guest.kind == "hypervisor" and guest.hypervisor.guest) and ticks >= 2 ** (bits - 1):
        yield Conflict(
            ("guest.linux.decrementer_max", "machine.decrementer_bits"),
            f"{ticks} is negative in a decrementer of {bits} bits",
            "guest.linux.decrementer_max < 2^(machine.decrementer_bits − 1)",
        )
    if guest.kind == "trace" and not guest.trace.file:
        yield Conflict(
            ("guest.trace.file", "guest.kind"),
            "no file for guest.kind = 'trace'",
            "a path in guest.trace.file",
        )


def _migration(migration: Migration) -> Iterator[Conflict]:
    if migration.cancel_at and migration.cancel_at <= migration.start:
        yield _order("migration.start", migration.start, "<", "migration.cancel_at", migration.cancel_at)
    if migration.ramp_start > migration.ramp_limit:
        yield _order("migration.ramp_start", migration.ramp_start, "<=", "migration.ramp_limit", migration.ramp_limit)
    initial, most = migration.cpu_throttle_initial, migration.max_cpu_throttle
    if initial > most:
        yield Conflict(
            ("migration.max_cpu_throttle", "migration.cpu_throttle_initial"),
            f"{most} is below migration.cpu_throttle_initial = {initial}",
            "migration.cpu_throttle_initial <= migration.max_cpu_throttle",
        )
    if migration.xbzrle_cache_size & (migration.xbzrle_cache_size - 1):
        yield Conflict(
            ("migration.xbzrle_cache_size",),
            f"{migration.xbzrle_cache_size} bytes is no power of two",
            "a power of two",
        )
    if migration.multifd_channels and (migration.xbzrle or migration.transport == "file"):
        other = "migration.xbzrle" if migration.xbzrle else "migration.transport"
        yield Conflict(
            ("migration.multifd_channels", other),
            "deltas and files need one stream, in order",
            f"0 channels beside {other.removeprefix('migration.')}",
        )
    if migration.auto_converge and migration.dirty_limit:
        yield Conflict(
            ("migration.dirty_limit", "migration.auto_converge"),
            "auto_converge throttles the CPUs already",
            "one of dirty_limit and auto_converge",
        )


_NO_DECREMENTER = (
    "decrementer_bits", "trigger", "small_values", "underflow_at", "reset_decrementer", "wrap", "hdecr_bits",
)  # fmt: skip
_EMBEDDED_TABLES = {"ppc405": "ppc40x", "e500": "booke"}
_BITS_40X = {"fit_bit": (8, 12, 16, 20), "watchdog_bit": (16, 20, 24, 28)}
_BITS_440 = {"fit_bit": (12, 16, 20, 24), "watchdog_bit": (20, 24, 28, 32)}


def _timers(config: Config) -> Iterator[Conflict]:
    """Keys and guests of timers that the model has not got."""
    machine, guest = config.machine, config.guest
    embedded = machine.model in EMBEDDED
    if guest.kind == "script":
        yield from _script(config)
    elif (guest.kind == "embedded") != embedded:
        kinds, models = ("embedded", "") if embedded else (guest.kind, ", ".join(EMBEDDED))
        yield Conflict(
            ("guest.kind", "machine.model"),
            f"machine.model = '{machine.model}' and guest.kind = '{guest.kind}', which does not use its timers",
            f"guest.kind = '{kinds}'" if embedded else f"machine.model one of {models}",
        )
    for key in _NO_DECREMENTER if embedded else ():
        if getattr(machine, key) != PRESETS[machine.model].get(key, "ignored"):
            yield Conflict(
                (f"machine.{key}", "machine.model"),
                f"a {machine.model} has no such decrementer",
                f"the keys of machine.{_EMBEDDED_TABLES[machine.model]}",
            )
    if guest.kind == "hypervisor" and not machine.hdecr_bits:
        yield Conflict(
            ("guest.kind", "machine.hdecr_bits"),
            f"a {machine.model} has no hypervisor decrementer",
            "machine.model = 'powernv', or machine.hdecr_bits > 0",
        )
    if guest.kind == "embedded":
        yield from _embedded(config)
    elif guest.kind == "hypervisor" and machine.hdecr_bits:
        yield from _fits(config, "guest.hypervisor.slice", guest.hypervisor.slice, machine.hdecr_bits - 1)


_NAMES = {
    "ppc405": ("pit", "fit", "watchdog", "tcr", "tsr"),
    "e500": ("decr", "fit", "watchdog", "decar", "tcr", "tsr"),
}


def _script(config: Config) -> Iterator[Conflict]:
    """Registers and timers that the model has not got."""
    model = config.machine.model
    there = _NAMES.get(model, ("decr", "hdecr", "nap") if config.machine.hdecr_bits else ("decr",))
    program, key = parse(config.guest.script.lines), "guest.script.lines"
    if not program.main:
        yield Conflict((key, "guest.kind"), "nothing to do for guest.kind = 'script'", "a line or more")
    for name in sorted(program.names() - set(there)):
        yield Conflict((key, "machine.model"), f"a {model} has no {name}", f"timers and registers {', '.join(there)}")


def _embedded(config: Config) -> Iterator[Conflict]:
    machine, firmware = config.machine, config.guest.embedded
    for key in ("period", "first"):
        yield from _fits(config, f"guest.embedded.{key}", getattr(firmware, key), 32)
    tables = _BITS_40X if machine.model == "ppc405" else _BITS_440 if machine.booke.intervals == "440" else {}
    for key, bits in tables.items():
        if getattr(firmware, key) not in bits:
            yield Conflict(
                (f"guest.embedded.{key}", "machine.model"),
                f"{getattr(firmware, key)} is no bit that this {machine.model} can choose",
                ", ".join(map(str, bits)),
            )


def _faults(config: Config) -> Iterator[Conflict]:
    kill = config.fault.kill
    if config.fault.restart.enabled and not (kill.enabled and kill.side == "destination"):
        yield Conflict(
            ("fault.restart.enabled", "fault.kill.enabled", "fault.kill.side"),
            "there is no destination that is killed",
            'fault.kill.enabled = true and fault.kill.side = "destination"',
        )
    if config.fault.restart.enabled and config.migration.hops > 1:
        yield Conflict(("fault.restart.enabled", "migration.hops"), "a guest hops between the same two", "1 hop")
    for name, fault in config.fault:
        if not fault.enabled:
            continue
        key = f"fault.{name}.enabled"
        if config.migration.transport == "file" and (isinstance(fault, LinkFault) or name == "duplicate"):
            yield Conflict((key, "migration.transport"), "there is no link to a file", "unix, tcp, tls")


def _fits(config: Config, key: str, ns: int, bits: int) -> Iterator[Conflict]:
    ticks = -(-ns * config.machine.timebase_hz // 1_000_000_000)
    if ticks >> bits:
        yield Conflict(
            (key, "machine.timebase_hz"),
            f"{TIME.format(ns)} is {ticks} ticks of the timebase",
            f"less than 2^{bits} ticks",
        )


def _order(lesser: str, low: int, relation: str, greater: str, high: int) -> Conflict:
    return Conflict(
        (lesser, greater),
        f"{lesser} = {TIME.format(low)} and {greater} = {TIME.format(high)}",
        f"{lesser} {relation} {greater}",
    )
