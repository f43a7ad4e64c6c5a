"""Does the decrementer keep to the timebase."""

from __future__ import annotations

from livemig.analysis.case import Case
from livemig.analysis.continuity import decr_slips, tolerance_ticks
from livemig.analysis.crossing import Crossing
from livemig.analysis.ticks import to_ns
from livemig.analysis.units import duration, plural
from livemig.analysis.verdict import Verdict, invalid, valid


def decr_matches_tb(case: Case) -> Verdict:
    """Over the blackout every DECR falls by what its CPU's TB rises, within a tick."""
    tolerance = tolerance_ticks(case.manifest)
    hops = case[Crossing].hops()
    by_hop = [(hop, decr_slips(case.manifest, hop.stop, hop.resume)) for hop in hops]
    hop, slips = max(by_hop, key=lambda of_hop: max(map(abs, of_hop[1].values())))
    cpu, worst = max(slips.items(), key=lambda slip: abs(slip[1]))
    if abs(worst) > tolerance:
        off = [slip for slip in slips.values() if abs(slip) > tolerance]
        by = duration(to_ns(abs(worst), case.manifest.machine.timebase_hz))
        return invalid(
            f"DECR is off its TB by {plural(worst, 'tick')} ({by}) on cpu {cpu}{hop}; "
            f"{len(off)} of {plural(len(slips), 'CPU')} affected",
            *hop.seen,
        )
    return valid("every DECR fell by what TB rose", *hop.seen)
