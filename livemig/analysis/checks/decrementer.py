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
    stop, resume = case[Crossing].ends()
    slips = decr_slips(case.manifest, stop, resume)
    cpu, worst = max(slips.items(), key=lambda slip: abs(slip[1]))
    if abs(worst) > tolerance_ticks(case.manifest):
        off = [slip for slip in slips.values() if abs(slip) > tolerance_ticks(case.manifest)]
        by = duration(to_ns(abs(worst), case.manifest.machine.timebase_hz))
        return invalid(
            f"DECR is off its TB by {plural(worst, 'tick')} ({by}) on cpu {cpu}; "
            f"{len(off)} of {plural(len(slips), 'CPU')} affected",
            stop.seen,
            resume.seen,
        )
    return valid("every DECR fell by what TB rose", stop.seen, resume.seen)
