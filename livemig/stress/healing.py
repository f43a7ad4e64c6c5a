"""First faults, then healed: what a migration owes once the last fault is over. Safety, then liveness."""

from __future__ import annotations

from typing import Final

from livemig.config.fault import AtSide, Faults, LinkFault
from livemig.config.model import Config
from livemig.stress.scenario import Settings, Value
from livemig.timers.ticks import NS_PER_S

_ENDED: Final = ("completed", "failed", "cancelled")
_BY_THE_END: Final = "not complete within run.duration"
_ROOM_NS: Final = NS_PER_S
_QUIET: Final = 4
"""A guest that dirties no more than this part of the link's bandwidth lets precopy converge."""


def healed(settings: Settings) -> Settings:
    """The same with every fault of the link over after the first second, and time for the migration to end."""
    of_link = [name for name, field in Faults.model_fields.items() if isinstance(field.default, LinkFault)]
    stops: dict[str, Value] = {f"fault.{name}.stop": "1s" for name in of_link if f"fault.{name}.enabled" in settings}
    return {
        **settings, **stops, "run.duration": "10s", "migration.peer_timeout": "1s", "migration.recover_after": "200ms",
    }  # fmt: skip


def owed_ns(config: Config) -> int | None:
    """By when the migration must have ended of its own accord; None if nothing says so: a fault never ends, a guest
    writes faster than the link carries, or a broken postcopy waits for an operator."""
    migration, link = config.migration, config.link
    over = [migration.start, link.cut_at, link.cut_again_at]
    for name, fault in config.fault:
        if not fault.enabled:
            continue
        if name == "kill" or (isinstance(fault, LinkFault) and not fault.stop):
            return None
        over += [fault.stop] if isinstance(fault, LinkFault) else []
        over += [fault.at + getattr(fault, "duration", 0)] if isinstance(fault, AtSide) or name == "dirty_burst" else []
    quiet = config.guest.memory.dirty_rate * 8 * _QUIET <= link.bandwidth
    if migration.postcopy_ram and not migration.recover_after:
        return None
    if not quiet and not migration.postcopy_ram:
        return None
    memory_ns = config.machine.ram * 8 * NS_PER_S // link.bandwidth
    trips_ns = 20 * (link.latency + link.return_latency + link.jitter)
    patience_ns = 3 * (migration.peer_timeout + migration.recover_after)
    return max(over) + 3 * memory_ns + trips_ns + patience_ns + migration.downtime + _ROOM_NS


def unfinished(config: Config, status: str, reason: str) -> bool:
    """Whether a migration that has come so far by the end of the run owed more."""
    due = owed_ns(config)
    if due is None or due > config.run.duration:
        return False
    return status not in _ENDED or reason.startswith(_BY_THE_END)
