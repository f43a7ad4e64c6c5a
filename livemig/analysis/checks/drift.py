"""Do the errors of many hops add up."""

from __future__ import annotations

from collections import Counter

from livemig.analysis.case import Case
from livemig.analysis.continuity import reading_ticks, tolerance_ticks
from livemig.analysis.crossing import Crossing
from livemig.analysis.drift import HopError, hop_errors
from livemig.analysis.ticks import to_ns
from livemig.analysis.units import duration, plural
from livemig.analysis.verdict import Verdict, invalid, not_exercised, valid


def drift_bounded(case: Case) -> Verdict:
    """However many hops: TB is never further off than the worst hop alone put it, and a tick of rounding; nor is any
    CPU's TB + DECR."""
    hops = case[Crossing].hops()
    if len(hops) < 2:
        return not_exercised("the guest crossed only once")
    manifest = case.manifest
    errors = hop_errors(manifest, hops)
    slack = tolerance_ticks(manifest) + reading_ticks(manifest)
    hz = manifest.machine.timebase_hz
    bound = max(abs(error.tb) for error in errors) + slack
    for error, hop in zip(errors, hops, strict=True):
        if abs(error.drift) > bound:
            by = f"{plural(error.drift, 'tick')} ({duration(abs(to_ns(error.drift, hz)))})"
            total = errors[-1].drift
            said = f"TB has drifted by {by} after {hop.number} hops, and by {total:,} after all {len(hops)}"
            return invalid(f"{said}: the errors add up", *hop.seen)
    for cpu, (total, worst) in _decr(errors).items():
        if abs(total) > worst + slack:
            return invalid(f"TB + DECR of cpu {cpu} has drifted by {plural(total, 'tick')}: the errors add up",
                           *hops[-1].seen)  # fmt: skip
    last = errors[-1]
    rounding = plural(max(abs(error.stayed) for error in errors), "tick")
    return valid(
        f"TB is {plural(last.drift, 'tick')} off after {len(hops)} hops; no stay between two adds more than {rounding}",
        *hops[-1].seen,
    )


def _decr(errors: list[HopError]) -> dict[int, tuple[int, int]]:
    """Of each CPU, the sum of its slips, and the largest of them."""
    sums: Counter[int] = Counter()
    worst: dict[int, int] = {}
    for error in errors:
        for cpu, ticks in (error.decr or {}).items():
            sums[cpu] += ticks
            worst[cpu] = max(worst.get(cpu, 0), abs(ticks))
    return {cpu: (sums[cpu], most) for cpu, most in worst.items()}
