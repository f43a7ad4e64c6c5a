"""What the judge found: the object that ``run --json`` and ``analyze --json`` print."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from livemig.analysis.attribution import Late
from livemig.analysis.continuity import tolerance_ticks
from livemig.analysis.drift import HopError
from livemig.analysis.impact import Impact
from livemig.analysis.inference import Inference
from livemig.analysis.manifest import Manifest
from livemig.analysis.tally import Tally
from livemig.analysis.verdict import Verdict, Word


@dataclass(frozen=True, slots=True)
class Migration:
    """``owner``: source, destination or none. ``blackout_ns``: None if the guest did not cross. ``total_ns``: from
    setup to the end, over all hops; None: none has ended. ``lost``: what the machine version has no place for, of what
    there was to send. ``hops``: how often the guest crossed."""

    status: str
    owner: str
    reason: str | None
    blackout_ns: int | None
    passes: int
    bytes: int
    total_ns: int | None = None
    machine_version: int | None = None
    lost: list[str] = field(default_factory=list)
    hops: int = 0


@dataclass(frozen=True, slots=True)
class TimebaseAcross:
    """TB of CPU 0 at the stop and the resume, its error against the policy, the widest gap between CPUs.

    In ticks; None where the guest did not cross or it was not recorded.
    """

    hz: int
    at_stop: int | None = None
    at_resume: int | None = None
    error_ticks: int | None = None
    skew_ticks: int | None = None


@dataclass(frozen=True, slots=True)
class DecrementerAcross:
    """DECR of one CPU, signed, in ticks."""

    cpu: int
    at_stop: int
    at_resume: int
    error_ticks: int


@dataclass(frozen=True, slots=True)
class Operator:
    """``stops``: how often an operator had the guest stand still. ``stood_ns``: for how long, all in all. ``reset``:
    whether one reset it."""

    stops: int = 0
    stood_ns: int = 0
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """``asked``: None if nobody said. ``found``: what TB did over the blackout, None if neither of the two."""

    asked: str | None
    found: str | None


@dataclass(frozen=True, slots=True)
class Attributed:
    """Where lateness comes from: of the ``worst``, and of all ``interrupts`` that were late, part by part, in ticks."""

    worst: tuple[Late, ...] = ()
    interrupts: int = 0
    total: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """Everything about one judged run.

    Args:
        interrupts: over all CPUs; ``cpus``: the same of each.
        missing: by CPU, deliveries that the twin had and this run has not; None without a twin.
        guest_behind_ns: how far the guest's TB is behind the world at the end; None if it was never read.
        infers: tells :attr:`inference`. impact: what the blackout trips in a real guest.
        precopy: what was not sent in full, the downtime expected, how the guest was slowed down; None: no pass.
        postcopy: pages, requests, faults and for how long CPUs stood; None if there was none.
        hops: every crossing, with what it adds to the error of TB and DECR.
        operator: what somebody did to the guest by hand.
    """

    run_dir: str
    manifest: Manifest
    verdict: Word
    checks: dict[str, Verdict]
    migration: Migration
    interrupts: Tally
    cpus: list[Tally]
    missing: list[int] | None
    timebase: TimebaseAcross
    decrementer: list[DecrementerAcross]
    guest_behind_ns: int | None
    time_policy: Policy
    attributed: Attributed
    impact: list[Impact]
    precopy: dict[str, Any] | None = None
    postcopy: dict[str, Any] | None = None
    hops: list[HopError] = field(default_factory=list)
    operator: Operator = Operator()
    infers: Callable[[], Inference] = field(default=Inference, compare=False, repr=False)

    @cached_property
    def inference(self) -> Inference:
        """The strategy that the log shows. Whoever judges thousands of runs does not ask."""
        return self.infers()

    @property
    def strategy(self) -> str | None:
        """The one asked for, else the one that the log shows."""
        return self.manifest.strategy or self.inference.strategy

    @property
    def inferred(self) -> str | None:
        """The strategy that the log shows; None where the nearest one is off by more than can be read of it."""
        ticks = self.inference.residual_ticks
        return None if ticks is None or ticks > tolerance_ticks(self.manifest) else self.inference.strategy

    @property
    def crossed(self) -> bool:
        return self.migration.blackout_ns is not None

    @property
    def failed(self) -> tuple[str, ...]:
        """The checks that are invalid, by name, in their order."""
        return tuple(name for name, verdict in self.checks.items() if verdict.word == "invalid")

    def as_dict(self) -> dict[str, Any]:
        """Integers, strings, None, lists and dicts only; keys as documented, in that order."""
        missing: list[int] | list[None] = self.missing or [None] * len(self.cpus)
        return {
            "run_dir": self.run_dir,
            "engine": self.manifest.engine,
            "strategy": self.strategy,
            "seed": self.manifest.seed,
            "verdict": self.verdict,
            "checks": {name: verdict.as_dict() for name, verdict in self.checks.items()},
            "migration": asdict(self.migration),
            "interrupts": self.interrupts.as_dict(),
            "cpus": [
                {"cpu": cpu, **tally.as_dict(), "missing": missing[cpu]}
                for cpu, tally in enumerate(self.cpus)
            ],
            "timebase": asdict(self.timebase),
            "decrementer": [asdict(decrementer) for decrementer in self.decrementer],
            "guest_behind_ns": self.guest_behind_ns,
            "operator": asdict(self.operator),
            "time_policy": asdict(self.time_policy),
            "inference": self.inference.as_dict(),
            "attribution": [late.as_dict() for late in self.attributed.worst],
            "attribution_total": {
                "interrupts": self.attributed.interrupts,
                "late_ticks": sum(self.attributed.total.values()),
                "parts": dict(self.attributed.total),
            },
            "impact": [impact.as_dict() for impact in self.impact],
            "precopy": self.precopy,
            "postcopy": self.postcopy,
            "hops": [hop.as_dict() for hop in self.hops],
        }


def exit_code(result: Result) -> int:
    """0 all checks hold, 1 one failed or could not be told, 3 the guest did not cross, not as often
    as it was to, or ended after it had."""
    rule = result.manifest.rule
    if not result.crossed or result.migration.owner == "none" or result.migration.hops < rule.hops:
        return 3
    return 0 if result.verdict == "valid" else 1
