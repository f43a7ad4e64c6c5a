"""``[migration]`` of the configuration, as the state machines want it: ns, bytes, bytes a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from livemig.machine.version import NEWEST, MachineVersion

POSTCOPY_RAM: Final = "postcopy-ram"
POSTCOPY_PREEMPT: Final = "postcopy-preempt"
"""Capabilities, as `hello` names them."""


@dataclass(frozen=True, slots=True)
class Throttling:
    """When the guest is slowed down, and how. Per cent; ``vcpu_dirty_limit``: bytes a second of each CPU."""

    auto_converge: bool = False
    trigger_threshold: int = 50
    initial: int = 20
    increment: int = 10
    tailslow: bool = False
    maximum: int = 99
    dirty_limit: bool = False
    vcpu_dirty_limit: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Convergence:
    """The downtime limit over the passes: ``policy`` is ``static``, ``stepped`` or ``ramp``; times in ns.

    Args:
        delay_ns: from step to step, for a GiB of RAM. stall_passes: 0 for no stall detection.
    """

    policy: str = "static"
    limit_ns: int = 300_000_000
    steps: int = 10
    delay_ns: int = 75_000_000_000
    ramp_start_ns: int = 150_000_000
    ramp_after: int = 3
    ramp_step_ns: int = 100_000_000
    ramp_cooldown_ns: int = 5_000_000_000
    ramp_limit_ns: int = 1_050_000_000
    stall_passes: int = 0

    @property
    def highest_ns(self) -> int:
        """The downtime limit at its highest."""
        return self.ramp_limit_ns if self.policy == "ramp" else self.limit_ns


@dataclass(frozen=True, slots=True)
class Encodings:
    """How pages go out. ``cache_size``: bytes."""

    xbzrle: bool = False
    cache_size: int = 64 << 20
    zstd: bool = False
    zstd_level: int = 1

    @property
    def names(self) -> list[str]:
        """What the destination must understand."""
        return [name for name, used in (("xbzrle", self.xbzrle), ("zstd", self.zstd)) if used]


@dataclass(frozen=True, slots=True)
class Postcopy:
    """Whether and when the guest goes before its pages.

    Args:
        passes: of precopy before it; at_ns: when at the latest, None for no such time. preempt: what is asked for does
            not wait behind what is pushed. max_bandwidth: of pushes, bytes a second, 0 for no limit. prepaging: pages
            around one that is asked for, to be pushed next. promises: the two sides keep in step by promises, for time
            is virtual. recover_after_ns: when a broken link is to be made anew, None for when somebody says so.
        lookahead_ns: no frame arrives sooner than this after it is sent, in either direction.
    """

    enabled: bool = False
    passes: int = 1
    at_ns: int | None = None
    preempt: bool = False
    max_bandwidth: int = 0
    prepaging: int = 0
    promises: bool = True
    recover_after_ns: int | None = None
    lookahead_ns: int = 0

    @property
    def names(self) -> list[str]:
        """What the destination must have switched on, too."""
        return [POSTCOPY_RAM] * self.enabled + [POSTCOPY_PREEMPT] * (self.enabled and self.preempt)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a side goes by.

    Args:
        advance_at_most_ns: by how much guest time goes on where it comes to nothing; None for all of the pause.
            chunk_pages: pages that go on the wire in one frame.
        max_bandwidth, avail_switchover_bandwidth: bytes a second; 0 for no limit, and for the measured one.
        save_step_ns, load_step_ns: host time from step to step (:class:`livemig.migration.steps.Steps`).
        cancel_at_ns: None for never. form: of the state that a source writes. convert_frequency: a destination takes a
            guest whose timebase has another frequency than its own.
    """

    downtime_ns: int
    max_passes: int
    advance_at_most_ns: int | None
    chunk_pages: int
    convergence: Convergence = Convergence()
    max_bandwidth: int = 0
    avail_switchover_bandwidth: int = 0
    throttling: Throttling = Throttling()
    encodings: Encodings = Encodings()
    save_step_ns: int = 0
    load_step_ns: int = 0
    pause_before_switchover: bool = False
    cancel_at_ns: int | None = None
    form: MachineVersion = NEWEST
    convert_frequency: bool = False
    postcopy: Postcopy = Postcopy()
