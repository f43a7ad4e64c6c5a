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
    worst = max(slips, key=abs)
    if abs(worst) > tolerance_ticks(case.manifest):
        off = [cpu for cpu, slip in enumerate(slips) if abs(slip) > tolerance_ticks(case.manifest)]
        by = duration(to_ns(abs(worst), case.manifest.machine.timebase_hz))
        return invalid(
            f"DECR is off its TB by {plural(worst, 'tick')} ({by}) on cpu {slips.index(worst)}; "
            f"{len(off)} of {plural(len(slips), 'CPU')} affected",
            stop.seen,
            resume.seen,
        )
    return valid("every DECR fell by what TB rose", stop.seen, resume.seen)
