"""Keys that are each right and together wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

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
    if config.migration.start >= config.run.duration:
        yield _order("migration.start", config.migration.start, "<", "run.duration", config.run.duration)
    yield from _migration(config.migration)
    if guest.arm_delay > guest.handler_time:
        yield _order("guest.arm_delay", guest.arm_delay, "<=", "guest.handler_time", guest.handler_time)
    if guest.masked_every and guest.masked_for >= guest.masked_every:
        yield _order("guest.masked_for", guest.masked_for, "<", "guest.masked_every", guest.masked_every)
    if guest.darwin.min > guest.darwin.max:
        yield _order("guest.darwin.min", guest.darwin.min, "<=", "guest.darwin.max", guest.darwin.max)
    ticks, bits = guest.linux.decrementer_max, config.machine.decrementer_bits
    if guest.kind == "linux" and ticks >= 2 ** (bits - 1):
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
    if migration.auto_converge and migration.dirty_limit:
        yield Conflict(
            ("migration.dirty_limit", "migration.auto_converge"),
            "auto_converge throttles the CPUs already",
            "one of dirty_limit and auto_converge",
        )


def _order(lesser: str, low: int, relation: str, greater: str, high: int) -> Conflict:
    return Conflict(
        (lesser, greater),
        f"{lesser} = {TIME.format(low)} and {greater} = {TIME.format(high)}",
        f"{lesser} {relation} {greater}",
    )
