"""Does the guest do what it would have done, had it stayed."""

from __future__ import annotations

from livemig.analysis.account import Account
from livemig.analysis.case import Case
from livemig.analysis.continuity import decr_slips, tb_error, tolerance_ticks
from livemig.analysis.crossing import Crossing
from livemig.analysis.twin import Twin
from livemig.analysis.units import plural
from livemig.analysis.verdict import Verdict, invalid, not_exercised, unknown, valid


def as_twin(case: Case) -> Verdict:
    """Equal to the twin until the stop; then no more deliveries missing than standing still explains."""
    twin, crossing = case[Twin], case[Crossing]
    if twin.differs:
        return invalid("before the stop the guest does what its twin does not", *twin.differs)
    if crossing.reset_by_hand:
        return not_exercised("an operator reset the guest, and not its twin")
    if not twin.delivered:
        return unknown("the twin had no interrupt")
    apart = 0
    for cpu, tally in enumerate(case[Account].per_cpu()):
        missing = twin.missing(cpu, tally.delivered)
        apart += abs(missing)
        if missing > twin.excused[cpu]:
            explained = f"that it stood still explains {twin.excused[cpu]:,}"
            evidence = [crossing.resume.seen] if crossing.resume else []
            return invalid(
                f"cpu {cpu} misses {plural(missing, 'interrupt')} of its twin; {explained}", *evidence
            )
    return valid(f"{plural(apart, 'interrupt')} apart from the twin, all explained by that it stood still")


def as_if_never_migrated(case: Case) -> Verdict:
    """A guest whose migration came to nothing has the timers that it would have had without one.

    The twin's, event by event, until it was stopped for the last pass, if it was; TB and DECR, when it went on, where
    they would have been without the stop; and from then on no interrupt missing but for the stop.
    """
    twin, crossing, manifest = case[Twin], case[Crossing], case.manifest
    if twin.differs:
        return invalid("before any stop the guest does what its twin does not", *twin.differs)
    stop, resume = crossing.stop, crossing.resume
    if stop is not None and resume is not None and crossing.pauses:
        if abs(error := tb_error(manifest, stop, resume)) > tolerance_ticks(manifest):
            return invalid(f"TB goes on {plural(abs(error), 'tick')} off", stop.seen, resume.seen)
        if off := [cpu for cpu, slip in decr_slips(manifest, stop, resume).items() if abs(slip) > 1]:
            return invalid(f"DECR does not go on as it was; first on cpu {off[0]}", stop.seen, resume.seen)
        if forgotten := stop.raised() - resume.raised():
            cpu, timer = min(forgotten)
            return invalid(f"a pending interrupt is forgotten: cpu {cpu} {timer}", stop.seen, resume.seen)
    after = as_twin(case)
    if after.word != "valid":
        return after
    if stop is None:
        return valid("the guest does what its twin does, to the end")
    return valid("the guest does what its twin does, but for the stop", stop.seen)
